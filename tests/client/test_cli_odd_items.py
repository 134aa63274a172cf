"""Items that another client wrote in another form, or to trick a terminal: shown, and no crash."""

import json

import pytest

from tests.client.odd_vault import Odd, device_with
from tests.client.terminal import Terminal

ODD = {
    "a number": ({"title": 5, "username": ["x"], "folder": 7, "tags": 1}, {"fields": 5}),
    "no title": ({}, {"variables": 4, "fields": [3]}),
    "a terminal": ({"title": "\x9b2J\u202etitle\x1b[2J", "username": "\x1b[31m"}, {"notes": "n"}),
    "a letter": ({"title": "→ Unter"}, {}),
    "half a pair": ({"title": "\ud800"}, {"password": "\ud800"}),
}
SETS = {"numbers": {"A": 3}, "half a pair": {"A": "\ud800"}, "a name": {"A=B": "x"}, "none": 7}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A device with an unlock process, whose vault another client has filled."""
    items = {name: Odd("login", *parts) for name, parts in ODD.items()}
    sets = [
        Odd("env_set", {"title": name}, {"variables": variables})
        for name, variables in SETS.items()
    ]
    with device_with(tmp_path_factory.mktemp("odd"), *items.values(), *sets) as (device, _):
        device.ids = {name: str(each.id) for name, each in items.items()}
        yield device


def test_a_list_of_odd_items_is_a_list(odd):
    shown = odd.done("list", "--type", "login", password=None)

    assert all(item_id in shown for item_id in odd.ids.values())
    assert not set("\x9b\x1b\u202e") & set(shown)


def test_json_of_odd_items_holds_them_all_and_nothing_that_a_terminal_obeys(odd):
    shown = odd.done("list", "--type", "login", "--json", password=None)

    assert {item["overview"].get("title") for item in json.loads(shown)} >= {
        "\x9b2J\u202etitle\x1b[2J",
        "\ud800",
    }
    assert not set("\x9b\x1b\u202e") & set(shown)


def test_a_locale_that_lacks_a_letter_is_no_crash(odd):
    shown = odd.done("list", password=None, env={"PYTHONIOENCODING": "iso8859-1"})

    assert "\\u2192 Unter" in shown


@pytest.mark.parametrize("name", ODD)
def test_an_odd_item_is_shown(odd, name):
    odd.done("show", odd.ids[name], "--reveal", password=None)
    odd.done("show", odd.ids[name], "--reveal", "--json", password=None)
    odd.refused(1, "show", odd.ids[name], "--field", "none", password=None)


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_no_environment_can_hold_is_refused(odd, name):
    said = odd.refused(1, "run", "--env-set", name, "--", "true", password=None)

    assert "cannot be an environment" in said


def test_a_prompt_shows_what_is_there_without_obeying_it(odd):
    terminal = Terminal("edit", odd.ids["a terminal"], environ=odd.environ)

    terminal.answers("Title [", "Plain")
    terminal.answers("Username [", "")
    terminal.answers("Folder", "")
    terminal.answers("Password (empty keeps it)", "")
    terminal.answers("(empty keeps it)", "")

    assert terminal.ends() == 0, terminal.shown
    assert not set("\x9b\x1b\u202e") & set(terminal.shown)
    again = odd.told("show", odd.ids["a terminal"], password=None)
    assert again["overview"] == {"title": "Plain", "username": "\x1b[31m"}
