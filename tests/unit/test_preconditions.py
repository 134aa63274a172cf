"""Conditional headers: one strong tag, in one form."""

import pytest
from flask import Flask

from vaultr.api.preconditions import known_tag, precondition
from vaultr.errors import BadRequest
from vaultr.wire.preconditions import Precondition

app = Flask("conditional")


def requested(function, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with app.test_request_context("/", headers=named):
        return function()


def test_write_parses_its_precondition():
    assert requested(precondition) == Precondition()
    assert not requested(precondition).is_set
    assert requested(precondition, If_Match='"0"') == Precondition(revision=0)
    assert requested(precondition, If_Match=' "9007199254740991" ').revision == 9007199254740991
    assert requested(precondition, If_None_Match="*") == Precondition(absent=True)
    assert requested(precondition, If_None_Match="*").is_set


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "7",
        'W/"7"',
        '"7", "8"',
        '"07"',
        '"-1"',
        '"x"',
        '""',
        '"7',
        '"7"x',
        "",
        '"' + "9" * 17 + '"',
    ],
)
def test_write_accepts_one_quoted_revision(value):
    with pytest.raises(BadRequest) as rejection:
        requested(precondition, If_Match=value)

    assert [fault.pointer for fault in rejection.value.errors] == ["/headers/If-Match"]


@pytest.mark.parametrize("value", ['"7"', "", "**", '*, "7"', 'W/"7"'])
def test_write_accepts_star_only_for_new_items(value):
    with pytest.raises(BadRequest):
        requested(precondition, If_None_Match=value)


def test_write_with_two_preconditions_is_rejected():
    with pytest.raises(BadRequest):
        requested(precondition, If_Match='"7"', If_None_Match="*")


def test_read_parses_if_none_match():
    assert requested(known_tag) is None
    assert requested(known_tag, If_None_Match='"7"') == "7"
    assert requested(known_tag, If_None_Match='"aB-_9"') == "aB-_9"


@pytest.mark.parametrize("value", ["*", "7", '"7", "8"', '""', '"a b"', '"' + "a" * 65 + '"'])
def test_read_accepts_one_strong_tag(value):
    with pytest.raises(BadRequest):
        requested(known_tag, If_None_Match=value)


def test_read_with_weak_tag_uses_weak_comparison():
    assert requested(known_tag, If_None_Match='W/"7"') == "7"
