"""Items that another client wrote in another form, or to attack a terminal: shown, no crash."""

import json

import pytest

from tests.harness.client.prefilled_vault import UnusualItem, device_with
from tests.harness.client.terminal import Terminal

ODD = {
    "a number": ({"title": 5, "username": ["x"], "folder": 7, "tags": 1}, {"fields": 5}),
    "no title": ({}, {"variables": 4, "fields": [3]}),
    "a terminal": ({"title": "\x9b2J\u202etitle\x1b[2J", "username": "\x1b[31m"}, {"notes": "n"}),
    "a letter": ({"title": "→ Unter"}, {}),
    "half a pair": ({"title": "\ud800"}, {"password": "\ud800"}),
}


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = {"d": value}
    return value


# A JSON parser accepts it, but code that shows, merges or writes it could fail.
DEEP = UnusualItem(
    "login", {"title": "Deep", "more": nested(930)}, {"password": "p", "more": nested(930)}
)
AS_DEEP_AS_CAN_BE = UnusualItem(
    "login", {"title": "Less deep", "more": nested(63)}, {"more": nested(63)}
)
NEWER = UnusualItem("passport", {"title": "Newer"}, {"number": "1"})
SETS = {"numbers": {"A": 3}, "half a pair": {"A": "\ud800"}, "a name": {"A=B": "x"}, "none": 7}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A device with an agent, whose vault was filled by another client."""
    items = {name: UnusualItem("login", *parts) for name, parts in ODD.items()}
    sets = [
        UnusualItem("env_set", {"title": name}, {"variables": variables})
        for name, variables in SETS.items()
    ]
    more = (DEEP, AS_DEEP_AS_CAN_BE, NEWER)
    home = tmp_path_factory.mktemp("odd")
    with device_with(home, *items.values(), *sets, *more) as (device, server):
        device.server = server
        device.ids = {name: str(each.id) for name, each in items.items()}
        yield device


def test_list_shows_every_odd_item_without_escapes(odd):
    shown = odd.done("list", "--type", "login", password=None)

    assert all(item_id in shown for item_id in odd.ids.values())
    assert not set("\x9b\x1b\u202e") & set(shown)


def test_json_of_odd_items_is_complete_without_terminal_escapes(odd):
    shown = odd.done("list", "--type", "login", "--json", password=None)

    assert {item["overview"].get("title") for item in json.loads(shown)} >= {
        "\x9b2J\u202etitle\x1b[2J",
        "\ud800",
    }
    assert not set("\x9b\x1b\u202e") & set(shown)


def test_locale_without_a_character_does_not_crash(odd):
    shown = odd.done("list", password=None, env={"PYTHONIOENCODING": "iso8859-1"})

    assert "\\u2192 Unter" in shown


@pytest.mark.parametrize("name", ODD)
def test_odd_item_is_shown_without_a_crash(odd, name):
    odd.done("show", odd.ids[name], "--reveal", password=None)
    odd.done("show", odd.ids[name], "--reveal", "--json", password=None)
    odd.fails(1, "show", odd.ids[name], "--field", "none", password=None)


@pytest.mark.parametrize("name", SETS)
def test_set_unusable_as_environment_is_rejected(odd, name):
    message = odd.fails(1, "run", "--env-set", name, "--", "true", password=None)

    assert "cannot be an environment" in message


def test_prompt_escapes_current_value(odd):
    terminal = Terminal("edit", odd.ids["a terminal"], environ=odd.environ)

    terminal.answers("Title [", "Plain")
    terminal.answers("Username [", "")
    terminal.answers("Folder", "")
    terminal.answers("Password (empty to keep)", "")
    terminal.answers("(empty to keep)", "")

    assert terminal.ends() == 0, terminal.shown
    assert not set("\x9b\x1b\u202e") & set(terminal.shown)
    again = odd.run_json("show", odd.ids["a terminal"], password=None)
    assert again["overview"] == {"title": "Plain", "username": "\x1b[31m"}


@pytest.mark.parametrize("words", [
    ("show",), ("show", "--reveal"), ("show", "--json", "--reveal"), ("show", "--field", "more"),
    ("edit", "--set", "username=a"),
])  # fmt: skip
def test_too_deep_item_fails_but_others_are_listed(odd, words):
    message = odd.fails(5, words[0], str(DEEP.id), *words[1:], password=None)

    assert "cannot be opened" in message
    listed = odd.run_json("list", password=None)
    assert {each["id"] for each in listed} > {str(DEEP.id), str(NEWER.id), *odd.ids.values()}


def test_deepest_allowed_nesting_is_shown_and_edited(odd):
    ref = str(AS_DEEP_AS_CAN_BE.id)

    odd.done("edit", ref, "--set", "username=a", password=None)
    odd.done("show", ref, "--reveal", password=None)

    assert odd.run_json("show", ref, "--reveal", password=None)["detail"]["more"] == nested(63)


def test_too_deeply_nested_item_is_rejected(odd):
    item = {"overview": {"title": "x"}, "detail": {"source": nested(64)}}

    message = odd.fails(1, "add", "login", "--json", stdin=json.dumps(item), password=None)

    assert "detail.source is nested more than 64 deep" in message


@pytest.mark.parametrize("words", [
    ("edit", "--set", "title=a"), ("edit", "--generate"), ("edit", "--secret", "number"),
])  # fmt: skip
def test_item_of_unknown_type_cannot_be_edited(odd, words):
    message = odd.fails(1, words[0], str(NEWER.id), *words[1:], password=None, stdin="x")

    assert "does not know the item type passport" in message


def test_item_of_unknown_type_is_shown_and_trashed(odd):
    assert odd.run_json("show", str(NEWER.id), "--reveal", password=None)["detail"] == {
        "number": "1"
    }
    odd.done("rm", str(NEWER.id), password=None)
    odd.done("restore", str(NEWER.id), password=None)


def test_lone_surrogate_reaches_no_clipboard_or_environment(odd, tmp_path):
    program = tmp_path / "xclip"
    program.write_text("#!/bin/sh\ncat > /dev/null\n")
    program.chmod(0o755)
    env = {"DISPLAY": ":9", "PATH": f"{tmp_path}:{odd.environ['PATH']}"}
    half = odd.ids["half a pair"]

    message = odd.fails(1, "copy", half, password=None, env=env)
    assert "not valid Unicode" in message
    reference = {"A": f"vaultr://Personal/{half}/password"}
    message = odd.fails(1, "run", "--mask", "--", "true", password=None, env=reference)
    assert "not valid Unicode" in message


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_earliest_and_latest_times_are_shown(odd, zone, time):
    def tamper(method, path, status, body):
        if path.endswith("/versions"):
            body["versions"] = [each | {"created_at": time} for each in body["versions"]]
        return status, body

    odd.server.tamper = tamper
    try:
        shown = odd.done("history", odd.ids["a letter"], password=None, env={"TZ": zone})
    finally:
        odd.server.tamper = None

    assert time[3:10] in shown
