"""`vaultr list` filters and sorts; `vaultr show` accepts a part of a title."""

import json

import pytest

from tests.harness.client.terminal import Terminal

ITEMS = {
    "Alpha mail": {"folder": "Work/Mail", "tags": ["prod", "eu"], "favourite": True},
    "Beta mail": {"folder": "Work", "tags": ["prod"], "archived": True},
    "Gamma": {"folder": "Workshop", "tags": []},
}


@pytest.fixture(scope="module")
def filed(device):
    for title, more in ITEMS.items():
        document = {"overview": {"title": title, **more}, "detail": {"notes": f"note of {title}"}}
        if title == "Gamma":
            document["detail"]["fields"] = [{"name": "Serial number", "value": "42"}]
        device.done("add", "note", "--json", stdin=json.dumps(document), password=None)
    yield device
    device.done("rm", *ITEMS, "--forever", "--yes", password=None)


def titles(device, *words):
    return [each["overview"]["title"] for each in device.run_json("list", *words, password=None)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--folder", "work"), ["Alpha mail", "Beta mail"]),
        (("--tag", "prod", "--tag", "EU"), ["Alpha mail"]),
        (("--favourite",), ["Alpha mail"]),
        (("--archived",), ["Beta mail"]),
        (("serial",), ["Gamma"]),
        (("--sort", "folder", "--folder", "Work"), ["Beta mail", "Alpha mail"]),
    ],
    ids=" ".join,
)
def test_list_shows_only_items_matching_the_filters(filed, words, found):
    assert titles(filed, *words) == found


def test_archived_items_are_marked(filed):
    lines = filed.done("list", "mail", password=None).splitlines()

    assert [line.split("  ")[0] for line in lines[1:]] == ["Alpha mail", "Beta mail (archived)"]


def test_show_accepts_a_unique_part_of_a_title(filed):
    shown = filed.types("show", "amm", password=None)

    assert shown.returncode == 0
    assert "Showing Gamma." in shown.stderr


def test_show_in_a_script_does_not_guess_a_secret(filed):
    assert "no such item" in filed.fails(1, "show", "amm", "--field", "notes", password=None)
    assert "no such item" in filed.fails(1, "show", "mail", password=None)


def test_show_prompts_for_one_of_several_matches(filed):
    environ = {**filed.environ, "TERM": "xterm", "COLUMNS": "100"}
    terminal = Terminal("show", "mail", "--field", "notes", environ=environ)

    terminal.answers("Which one", "2")

    assert terminal.ends() == 0
    assert terminal.shown.index("1  Alpha mail") < terminal.shown.index("Which one")
    assert "note of Beta mail" in terminal.shown


def test_generate_of_zero_words_is_an_error(filed):
    assert "words" in filed.fails(2, "generate", "--words", "0", password=None)
