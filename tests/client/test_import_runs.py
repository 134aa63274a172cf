"""Imports are repeated, updated, undone and continued, with a server in memory and a real one."""

import json

import pytest

from tests.fixtures import foreign_files
from tests.harness.client.kill_points import Killed
from vaultr.client.errors import ItemNotFound
from vaultr.client.imports import formats
from vaultr.client.imports.reading import ImportFile
from vaultr.client.items.import_runs import ImportExceedsQuota, ImportInterrupted
from vaultr.client.items.schemas import Draft
from vaultr.client.vaults import batches


def onepassword(**members):
    item = foreign_files.onepassword_item(**members)
    data = json.dumps(foreign_files.onepassword_document(item)).encode()
    return formats.FORMATS["1password"].read(ImportFile(data)).drafts


def renamed(title):
    overview = {"title": title, "urls": [{"url": "https://mail.example"}]}
    return onepassword(overview=overview)


def titles(device):
    return sorted(item.title for item in device.items())


def test_second_import_of_same_entries_adds_nothing(world):
    first = world.laptop.import_drafts(onepassword())
    again = world.laptop.import_drafts(onepassword())

    assert (len(first.added), len(again.added), again.same) == (1, 0, 1)
    assert again.differing == ()


def test_interrupted_import_reports_what_is_stored(world, monkeypatch):
    monkeypatch.setattr(batches, "CHANGES_PER_BATCH", 2)
    drafts = [Draft("note", {"title": f"Note {n}"}, {"notes": "text"}) for n in range(5)]

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(ImportInterrupted, match=r"2 of 5 new items are in the vault\.") as stopped:
        world.laptop.import_drafts(drafts, progress=interrupt)

    assert stopped.value.exit_code == 130
    assert len(titles(world.laptop)) == 2
    assert len(world.laptop.import_drafts(drafts).added) == 3
    assert len(titles(world.laptop)) == 5


def test_interrupt_before_the_first_batch_adds_nothing(world):
    def interrupt(method, path):
        if method != "GET" and path.startswith("/vaults"):
            world.server.before = None
            raise KeyboardInterrupt

    world.server.before = interrupt

    with pytest.raises(ImportInterrupted, match="No item was added"):
        world.laptop.import_drafts(onepassword())

    assert titles(world.laptop) == []


def test_newer_entry_is_listed_and_updated_only_with_option(world):
    [item] = world.laptop.import_drafts(onepassword()).added

    listed = world.laptop.import_drafts(renamed("New name"))
    stored = titles(world.laptop)
    updated = world.laptop.import_drafts(renamed("New name"), update=True)

    assert [each.id for each in listed.differing] == [item.id]
    assert stored == ["Mail"]
    assert [each.id for each in updated.updated] == [item.id]
    assert titles(world.laptop) == ["New name"]
    assert "tags" not in world.laptop.item("New name").overview
    assert len(world.laptop.history("New name")) == 2
    assert world.laptop.import_drafts(renamed("New name")).same == 1


def test_update_with_older_file_keeps_local_edit(world):
    world.laptop.import_drafts(onepassword())
    world.laptop.edit("Mail", detail={"password": "edited here"})

    again = world.laptop.import_drafts(onepassword(), update=True)

    assert (again.same, again.updated, again.differing) == (1, (), ())
    assert world.laptop.item("Mail").detail["password"] == "edited here"


def test_entries_without_ids_are_compared_by_content(world):
    draft = Draft("login", {"title": "Mail"}, {"password": "p", "source": {"manager": "chrome"}})
    other = Draft("login", {"title": "Mail"}, {"password": "q", "source": {"manager": "chrome"}})

    world.laptop.import_drafts([draft])
    again = world.laptop.import_drafts([draft, other])

    assert (again.same, len(again.added), again.beside) == (1, 1, 1)


def test_undo_trashes_unchanged_items_and_lists_the_rest(world):
    world.laptop.add("login", {"title": "Mine"}, {"password": "p"})
    drafts = [*onepassword(), *onepassword(uuid="other", overview={"title": "Other"})]
    run = world.laptop.import_drafts(drafts).run
    world.laptop.edit("Other", detail={"password": "changed"})

    phone = world.second_by_key()
    [listed] = phone.import_runs()
    undone = phone.undo_import(run)

    assert (listed.id, listed.manager, len(listed.unchanged)) == (run, "1password", 1)
    assert [item.title for item in undone.changed] == ["Other"]
    assert titles(world.laptop) == ["Mine", "Other"]
    with pytest.raises(ItemNotFound):
        world.laptop.undo_import("0" * 12)


def test_killed_import_continues_when_repeated(world):
    drafts = [
        Draft("note", {"title": str(n)}, {"source": {"manager": "pass", "id": str(n)}})
        for n in range(2500)
    ]
    batches = []

    def kill(method, path):
        if path.endswith("/changes"):
            batches.append(path)
            if len(batches) == 3:
                raise Killed

    world.server.before = kill
    with pytest.raises(Killed):
        world.laptop.import_drafts(drafts)
    world.server.before = None
    again = world.again().import_drafts(drafts)

    assert again.same == 2000
    assert len(again.added) == 500
    assert len(world.laptop.items()) == 2500


def test_import_over_quota_is_rejected_before_first_write(world):
    drafts = [Draft("note", {"title": str(n)}, {}) for n in range(10_001)]
    writes = len(world.server.requests)

    with pytest.raises(ImportExceedsQuota, match="room for only 10000"):
        world.laptop.import_drafts(drafts)

    assert not any(verb == "POST" for verb, path, _ in world.server.requests[writes:]
                   if path.endswith("/changes"))  # fmt: skip


def test_import_and_undo_with_the_command(device, tmp_path):
    (file := tmp_path / "export.1pux").write_bytes(foreign_files.onepassword())

    shown = device.types("import", str(file), "--dry-run")
    done = device.types("import", str(file), "--new-vault", "Moved", "--json")
    [run] = [each for each in device.run_json("import", "--list") if each["manager"] == "1password"]
    undone = device.done("import", "--undo", run["id"])

    assert "Can be imported: 5 items" in shown.stdout
    assert "attachments are not stored" in shown.stdout
    answer = json.loads(done.stdout)
    assert (answer["imported"], answer["run"]) == (5, run["id"])
    assert len(run["unchanged"]) == 5
    assert undone == "Moved to the trash: 5 items.\n"
    assert "Use either --list or --undo" in device.fails(2, "import", "--list", str(file))
    assert "Name the file" in device.fails(2, "import", "--again")
    device.done("vaults", "rm", "Moved", "--confirm", "Moved")
