"""Several items in one command: trash, restore, remove; and repeated imports."""

import json

import pytest

from tests.fixtures import make_bitwarden


def add(device, title, *words):
    return device.run_json("add", "note", *words, stdin=json.dumps({"overview": {"title": title}}))


@pytest.fixture(scope="module")
def device(own_device):
    """A device whose account no other module uses."""
    return own_device


@pytest.fixture
def three(device):
    ids = [add(device, title)["id"] for title in ("One of three", "Two of three", "Three of three")]
    yield ids
    device.types("rm", *ids, "--forever", "--yes")


def states(device, ids):
    return [device.run_json("show", each)["state"] for each in ids]


def revision(device):
    return {vault["name"]: vault["revision"] for vault in device.run_json("sync")}["Personal"]


def test_several_items_are_trashed_and_restored_in_one_write(device, three):
    before = revision(device)

    trashed = device.run_json("rm", "One of three", "Two of three", three[2])
    assert [item["id"] for item in trashed] == three
    assert states(device, three) == ["trash"] * 3

    result = device.done("restore", *three)
    assert [line.split(":")[0] for line in result.splitlines()] == ["Restored"] * 3
    assert states(device, three) == ["active"] * 3
    assert revision(device) == before + 6


def test_missing_item_prevents_moving_any(device, three):
    for words in (("rm",), ("rm", "--forever", "--yes")):
        message = device.fails(1, *words, "One of three", "None of three", "Two of three")
        assert "There is no such item. Similar:" in message
    assert states(device, three) == ["active"] * 3

    device.done("rm", three[0])
    assert "no such item" in device.fails(1, "restore", three[0], "None of three")
    assert states(device, three) == ["trash", "active", "active"]


def test_item_named_twice_is_moved_once(device, three):
    assert len(device.run_json("rm", "One of three", three[0])) == 1
    assert states(device, three) == ["trash", "active", "active"]


def test_items_of_several_vaults_are_moved_together(device, three):
    device.done("vaults", "add", "Attic")
    other = add(device, "Four of three", "--vault", "Attic")["id"]

    device.done("rm", three[0], other, three[1])

    assert states(device, [*three, other]) == ["trash", "trash", "active", "trash"]
    device.done("restore", other, three[0])
    assert states(device, [*three, other]) == ["active", "trash", "active", "active"]
    device.done("vaults", "rm", "Attic", "--confirm", "Attic")


def test_several_items_are_removed_permanently(device, three):
    assert device.run_json("rm", *three[:2], "--forever", "--yes") == {"removed": True}

    assert device.fails(1, "show", three[0])
    assert device.fails(1, "show", three[1])
    assert states(device, three[2:]) == ["active"]


def test_restore_revision_rejects_several_items(device, three):
    assert "--revision restores a version of one item" in device.fails(
        2, "restore", *three, "--revision", "1"
    )


@pytest.fixture
def export(tmp_path):
    file = tmp_path / "export.json"
    content = make_bitwarden.export(20)
    for number, entry in enumerate(content["items"]):
        entry["name"] = f"Imported {number}"

    def write():
        file.write_text(make_bitwarden.as_text(content))
        return str(file)

    return content, write


def test_importing_an_export_again_duplicates_nothing(device, export):
    content, write = export
    first = device.run_json("import", write())
    assert first["imported"] == first["read"] == 20

    again = device.types("import", write())
    assert again.returncode == 0
    assert again.stdout == "Imported: 0 items.\n"
    assert "20 entries were already in the vault" in again.stderr
    assert len(device.run_json("list", "Imported")) == 20

    content["items"][0]["notes"] = "changed in the other manager"
    content["items"].append({"type": 2, "name": "Imported anew", "secureNote": {"type": 0}})
    third = device.types("import", write(), "--json")
    assert json.loads(third.stdout)["read"] == 21
    answer = json.loads(third.stdout)
    assert (answer["imported"], answer["same"], len(answer["differing"])) == (1, 19, 1)
    assert len(device.run_json("list", "Imported")) == 21

    updated = device.run_json("import", write(), "--update")
    assert updated["updated"] == answer["differing"]
    detail = device.run_json("show", answer["differing"][0], "--reveal")["detail"]
    assert detail["notes"] == "changed in the other manager"
    assert len(device.run_json("history", answer["differing"][0])) == 2

    device.done("rm", *(item["id"] for item in device.run_json("list", "Imported")))


def test_export_can_be_imported_again_with_force(device, export):
    _, write = export
    device.done("import", write())
    assert device.run_json("import", write(), "--again")["imported"] == 20
    ids = [item["id"] for item in device.run_json("list", "Imported")]
    assert len(ids) == 40

    device.done("rm", *ids)

    assert device.run_json("import", write())["imported"] == 20
    device.done("rm", *(item["id"] for item in device.run_json("list", "Imported")))
