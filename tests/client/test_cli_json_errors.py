"""With --json, errors are JSON too."""

import json

import pytest


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("show", "Nothing of this name"), 1, "There is no such item."),
        (("show",), 2, "Missing ITEM."),
        (("list", "--sort", "color"), 2, "Invalid value for '--sort'"),
        (("run", "--", "true"), 2, "no --json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_error_is_one_line_of_json_on_stderr(device, words, code, message):
    error = json.loads(device.fails(code, "--json", *words, password=None))["error"]

    assert message in error["message"]
    assert error["exit_code"] == code


def test_error_of_the_server_has_its_slug(device):
    error = json.loads(device.fails(1, "show", "Nothing of it", "--json", password=None))["error"]

    assert error["slug"] == "item-not-found"
