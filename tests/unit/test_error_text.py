"""The text of an error from the server: the invalid fields, and how long to wait."""

import pytest

from vaultr.client.errors import error_from_problem
from vaultr.client.transport import error_text

RULE = "The request is well formed, but a rule refuses it."


def message_and_notes(slug="unprocessable", **problem):
    error = error_from_problem(slug, 422, {"detail": RULE, **problem})
    error_text.add_server_text(error)
    return str(error), getattr(error, "__notes__", [])


def test_message_names_the_invalid_field():
    errors = [{"pointer": "/email", "message": "the account already has this address"}]

    text, notes = message_and_notes(errors=errors)

    assert (
        text
        == f"The server rejected the request: {RULE} (/email: the account already has this address)"
    )
    assert notes == []


def test_error_of_the_whole_body_is_shown_once():
    errors = [{"pointer": "", "message": "This operation takes no body."}]

    text, _ = message_and_notes(detail="This operation takes no body.", errors=errors)

    assert text == "The server rejected the request: This operation takes no body."


def test_only_three_of_many_invalid_fields_are_shown():
    text, _ = message_and_notes(
        errors=[{"pointer": f"/{n}", "message": "wrong"} for n in range(1000)]
    )

    assert text.endswith("(/0: wrong; /1: wrong; /2: wrong)")


@pytest.mark.parametrize(
    "errors",
    ["text", 5, {}, None, [], [5, None, []], [{"pointer": "/x"}, {"message": 5}, {"message": {}}]],
)
def test_malformed_field_errors_are_ignored(errors):
    assert message_and_notes(errors=errors)[0] == f"The server rejected the request: {RULE}"


def test_control_characters_are_removed():
    text, _ = message_and_notes(errors=[{"pointer": "/\x1b[31m", "message": "a\x07" + "b" * 1000}])

    assert text.startswith(f"The server rejected the request: {RULE} (/ [31m: a b")
    assert len(text) < 700


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 s"), (119, "119 s"), (120, "2 min"), (840, "14 min"), (841, "15 min")],
)
@pytest.mark.parametrize("slug", ["rate-limited", "locked"])
def test_note_contains_the_waiting_time(slug, seconds, text):
    assert message_and_notes(slug, retry_after=seconds)[1] == [f"Try again in {text}."]


def test_missing_retry_after_adds_no_note():
    assert message_and_notes("locked", retry_after=None)[1] == message_and_notes("locked")[1] == []
