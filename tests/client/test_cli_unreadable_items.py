"""An item that no key opens does not affect other items, and can be removed by its id."""

import json

import pytest

from tests.harness.client.devices import PASSWORD
from tests.harness.client.prefilled_vault import UnusualItem, device_with

BROKEN = UnusualItem("login", {}, {}, opens=False)
PLAIN = UnusualItem("login", {"title": "Plain"}, {"password": "hunter2"})
PROD = UnusualItem("env_set", {"title": "prod"}, {"variables": {"A": "1"}})
BROKEN_SET = UnusualItem("env_set", {}, {}, opens=False)


@pytest.fixture
def odd(tmp_path):
    with device_with(tmp_path, BROKEN, PLAIN, PROD, BROKEN_SET) as (device, _):
        yield device


def test_unreadable_item_is_listed_by_its_id(odd):
    result = odd.types("list", "--type", "login", password=None)

    assert result.returncode == 0, result.stderr
    assert [line.split("  ")[0] for line in result.stdout.splitlines()[1:]] == [
        "(cannot be opened)",
        "Plain",
    ]
    assert str(BROKEN.id) in result.stdout
    assert f"Cannot open {BROKEN.id}; a faulty client may have written it." in result.stderr


def test_json_list_marks_unreadable_item(odd):
    result = odd.types("list", "--type", "login", "--json", password=None)

    listed = {each["id"]: each for each in json.loads(result.stdout)}
    assert listed[str(BROKEN.id)]["opens"] is False
    assert listed[str(BROKEN.id)]["overview"] == {}
    assert "opens" not in listed[str(PLAIN.id)]
    assert str(BROKEN.id) in result.stderr


def test_search_skips_items_that_do_not_open(odd):
    result = odd.types("list", "Plain", password=None)

    assert (result.returncode, result.stderr) == (0, "")
    assert str(BROKEN.id) not in result.stdout


def test_other_items_remain_usable_by_title(odd):
    field = odd.done("show", "Plain", "--field", "password", password=None)
    value = odd.done("read", "vaultr://Personal/Plain/password", password=None)
    ran = odd.done("run", "--env-set", "prod", "--", "sh", "-c", "echo $A", password=None)

    assert (field, value, ran) == ("hunter2\n", "hunter2\n", "1\n")


@pytest.mark.parametrize("words", [
    ("show",), ("show", "--reveal"), ("show", "--json"), ("edit", "--set", "title=x"),
    ("copy",), ("code",), ("move", "--to", "Work"),
])  # fmt: skip
@pytest.mark.matrix(3)
def test_reading_an_unopenable_item_reports_it(odd, words):
    odd.done("vaults", "add", "Work", password=None)

    message = odd.fails(5, words[0], str(BROKEN.id), *words[1:], password=None)

    assert str(BROKEN.id) in message
    assert "cannot be opened" in message


def test_unopenable_set_is_rejected_as_environment(odd):
    message = odd.fails(5, "run", "--env-set", str(BROKEN_SET.id), "--", "true", password=None)

    assert f"Item {BROKEN_SET.id} cannot be opened" in message


def test_empty_title_does_not_match_unreadable_item(odd):
    assert "There is no such item" in odd.fails(1, "show", "", password=None)
    assert "There is no such item" in odd.fails(1, "rm", "", password=None)


def test_unopenable_item_is_trashed_and_restored_by_id(odd):
    assert "In the trash: (cannot be opened)" in odd.done("rm", str(BROKEN.id), password=None)
    assert str(BROKEN.id) in odd.done("list", "--trash", password=None)
    assert "Restored: (cannot be opened)" in odd.done("restore", str(BROKEN.id), password=None)


def test_unreadable_item_can_be_removed_by_id(odd):
    odd.done("rm", str(BROKEN.id), "--forever", "--yes", password=None)

    assert str(BROKEN.id) not in odd.done("list", password=None)


def test_rotation_continues_after_unopenable_item_is_trashed(odd):
    message = odd.fails(1, "rotate", password=PASSWORD)

    assert str(BROKEN.id) in message
    assert "vaultr rm" in message
    for each in (BROKEN, BROKEN_SET):
        odd.done("rm", str(each.id), password=None)
    assert "2 items encrypted with new keys" in odd.done("rotate", password=PASSWORD)
    assert odd.done("show", "Plain", "--field", "password", password=None) == "hunter2\n"
