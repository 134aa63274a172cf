"""What a server says when it refuses: of which field, and for how long it asks to wait."""

import pytest

from vaultr.client.errors import refusal
from vaultr.client.transport import error_text

RULE = "The request is well formed, but a rule refuses it."


def said(slug="unprocessable", **problem):
    refused = refusal(slug, 422, {"detail": RULE, **problem})
    error_text.say(refused)
    return str(refused), getattr(refused, "__notes__", [])


def test_what_is_wrong_with_which_field_is_told():
    errors = [{"pointer": "/email", "message": "the account has this address already"}]

    text, notes = said(errors=errors)

    assert text == f"The server refuses: {RULE} (/email: the account has this address already)"
    assert notes == []


def test_what_the_whole_body_is_refused_for_is_told_once():
    errors = [{"pointer": "", "message": "This route takes no body."}]

    text, _ = said(detail="This route takes no body.", errors=errors)

    assert text == "The server refuses: This route takes no body."


def test_of_many_faults_some_are_told():
    text, _ = said(errors=[{"pointer": f"/{n}", "message": "wrong"} for n in range(1000)])

    assert text.endswith("(/0: wrong; /1: wrong; /2: wrong)")


@pytest.mark.parametrize(
    "errors",
    ["text", 5, {}, None, [], [5, None, []], [{"pointer": "/x"}, {"message": 5}, {"message": {}}]],
)
def test_faults_that_are_none_are_not_told(errors):
    assert said(errors=errors)[0] == f"The server refuses: {RULE}"


def test_what_a_terminal_would_obey_is_not_told():
    text, _ = said(errors=[{"pointer": "/\x1b[31m", "message": "a\x07" + "b" * 1000}])

    assert text.startswith(f"The server refuses: {RULE} (/ [31m: a b")
    assert len(text) < 700


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(1, "1 s"), (119, "119 s"), (120, "2 min"), (840, "14 min"), (841, "15 min")],
)
@pytest.mark.parametrize("slug", ["rate-limited", "locked"])
def test_how_long_to_wait_is_told_in_words(slug, seconds, told):
    assert said(slug, retry_after=seconds)[1] == [f"Try again in {told}."]


def test_no_wait_is_told_where_none_is_asked_for():
    assert said("locked", retry_after=None)[1] == said("locked")[1] == []
