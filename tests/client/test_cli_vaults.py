"""Commands about whole vaults: versions, several vaults, key rotation, acceptance."""

import json

import pytest

from tests.harness.client.terminal import Terminal


@pytest.fixture
def mail(device):
    """An item that was edited once; it is removed afterwards."""
    item = json.dumps({"overview": {"title": "Versions"}, "detail": {"password": "first"}})
    made = device.run_json("add", "login", password=None, stdin=item)
    device.done("edit", made["id"], "--secret", "password", password=None, stdin="second\n")
    yield made
    device.types("rm", made["id"], "--forever", "--yes", password=None)


def test_versions_are_listed_shown_and_restored(device, mail):
    listed = device.run_json("history", "Versions", password=None)
    assert [(each["title"], each["current"]) for each in listed] == [
        ("Versions", True),
        ("Versions", False),
    ]
    first = str(listed[-1]["revision"])
    assert listed[-1]["created_at"].endswith("Z")

    table = device.done("history", "Versions", password=None)
    shown = device.run_json("history", mail["id"], "--revision", first, password=None)
    assert table.splitlines()[0].split() == ["REVISION", "WRITTEN", "TITLE"]
    assert "detail" not in shown
    field = ("history", "Versions", "--revision", first, "--field", "password")
    assert device.done(*field, password=None) == "first\n"
    assert "Restored" in device.done("restore", "Versions", "--revision", first, password=None)

    assert device.done("show", "Versions", "--field", "password", password=None) == "first\n"
    assert len(device.run_json("history", "Versions", password=None)) == 3


REJECTED = [
    (2, ("history",)),
    (2, ("history", "Versions", "--reveal")),
    (2, ("history", "Versions", "--revision", "0")),
    (1, ("history", "Versions", "--revision", "999999")),
    (1, ("restore", "Versions", "--revision", "999999")),
    (2, ("move", "Versions")),
    (2, ("move", "--resume", "--to", "Work")),
    (1, ("move", "Versions", "--to", "Nowhere")),
    (1, ("rotate", "Nowhere")),
    (2, ("vaults", "rm", "Personal")),
    (1, ("vaults", "add", "Personal")),
    (2, ("sync", "--explain", "--accept")),
    (2, ("sync", "--yes")),
]


def test_invalid_vault_commands_fail_without_traceback(device, mail):
    for code, words in REJECTED:
        result = device.types(*words, password=None)
        assert result.returncode == code, (words, result.stdout, result.stderr)
        assert "Traceback" not in result.stderr
    for code, name in ((2, "personal"), (1, "Nowhere")):
        vault = "Personal" if code == 2 else name
        result = device.types("vaults", "rm", vault, "--confirm", name)
        assert result.returncode == code, (vault, result.stdout, result.stderr)

    assert mail["id"] in device.done("list", "--json", password=None)


def test_items_move_to_vault_deleted_by_name(device, mail):
    device.done("vaults", "add", "Short-lived", password=None)
    moved = device.run_json("move", "Versions", "--to", "Short-lived", password=None)

    assert moved[0]["id"] != mail["id"]
    listed = device.run_json("list", "--vault", "Short-lived", password=None)
    assert [each["id"] for each in listed] == [moved[0]["id"]]
    assert "No interrupted move was found" in device.types("move", "--resume", password=None).stderr
    device.done("move", "Versions", "--vault", "Short-lived", "--to", "Personal", password=None)
    device.done("vaults", "rm", "Short-lived", "--confirm", "Short-lived")

    assert "Short-lived" not in device.done("vaults", "list", password=None)
    assert len(device.run_json("list", "Versions", password=None)) == 1
    device.done("rm", "Versions", "--forever", "--yes", password=None)


def test_vault_deletion_on_terminal_requires_typed_name(device):
    device.done("vaults", "add", "Doomed", password=None)
    terminal = Terminal("vaults", "rm", "Doomed", environ=device.environ)

    terminal.answers("Type its name", "Doomed")
    terminal.answers("Master password", device.password)

    assert terminal.ends() == 0
    assert "Deleted: Doomed" in terminal.shown
    assert "Doomed" not in device.done("vaults", "list", password=None)


def test_rotation_progress_is_on_stderr_and_result_on_stdout(device, mail):
    result = device.types("rotate", "Personal", "--json")

    (rotated,) = json.loads(result.stdout)
    assert result.returncode == 0
    assert rotated["generation"] >= 2
    assert rotated["moved"] >= 1
    assert f"Resealed {rotated['moved']} of {rotated['moved']} item" in result.stderr
    assert device.done("show", "Versions", "--field", "password", password=None) == "second\n"


def test_accept_without_differences_changes_nothing(device):
    result = device.types("sync", "--accept", password=None)

    assert result.returncode == 0
    assert "There is nothing to accept" in result.stderr


def test_locked_device_exits_with_error(account):
    for words in (("history", "x"), ("move", "x", "--to", "y"), ("rotate",), ("sync", "--accept")):
        assert "locked" in account.fails(3, *words, password=None)


def test_vaults_are_sorted_by_name_in_all_lists(device):
    for name in ("zebra", "Älg", "apple"):
        device.done("vaults", "add", name, password=None)
    by_name = sorted({"zebra", "Älg", "apple", "Personal"}, key=str.casefold)

    shown = [
        [vault["name"] for vault in device.run_json(*words, password=None)]
        for words in (("vaults", "list"), ("sync",))
    ]

    assert [[name for name in names if name in by_name] for names in shown] == [by_name, by_name]
