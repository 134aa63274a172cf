"""The SDK with an honest server in memory: items, conflicts and the trash."""

import json

import httpx2
import pytest

from tests.harness.client.world import mail
from vaultr.client.errors import (
    ItemNotFound,
    Locked,
    PreconditionFailed,
)
from vaultr.client.items.schemas import ItemInvalid
from vaultr.client.vaultr_client import Ambiguous, Draft, EditConflict


def test_item_round_trip_reveals_nothing_to_server(world):
    added = world.laptop.add("login", *mail())

    found = world.second().item("Mail")

    assert (found.id, found.type, found.revision) == (added.id, "login", 1)
    assert (found.overview, found.detail) == mail()
    stored = json.dumps([world.server.vaults, world.server.account])
    assert not any(word in stored for word in ("hunter2", "Mail", "Personal"))


def test_list_opens_no_item_details(world):
    world.laptop.add("login", *mail())

    (item,) = world.laptop.items()

    assert item.detail is None
    assert world.laptop.item("Mail", reveal=False).detail is None
    assert "hunter2" not in repr(world.laptop.item("Mail"))


def test_edit_replaces_named_fields_and_keeps_rest(world):
    world.laptop.add("login", *mail())

    edited = world.laptop.edit("Mail", overview={"username": None}, detail={"totp": "otpauth:x"})

    assert edited.overview == {"title": "Mail"}
    assert world.second().item("Mail").detail == {"password": "hunter2", "totp": "otpauth:x"}


def test_item_outside_schema_is_rejected_before_sending(world):
    with pytest.raises(ItemInvalid):
        world.laptop.add("login", {"title": "Mail", "password": "hunter2"}, {})

    assert not world.sent("PUT", "x")


def test_stale_revision_conflict_names_differing_fields(world):
    seen = world.laptop.add("login", *mail())
    world.second().edit("Mail", overview=None, detail={"password": "theirs"})

    with pytest.raises(EditConflict) as conflict:
        world.laptop.edit(
            "Mail", overview=None, detail={"password": "ours"}, revision=seen.revision
        )

    assert conflict.value.fields == ["detail.password"]
    assert conflict.value.revision == 2
    assert world.laptop.item("Mail").detail == {"password": "theirs"}
    resolved = world.laptop.edit("Mail", detail={"password": "ours"}, revision=2)
    assert resolved.revision == 3


def overtaken(world, **edit):
    """Make the phone edit the item just before the laptop's next write to it arrives."""
    phone = world.second()

    def overtake(method, path):
        if method == "PUT" and "/items/" in path:
            world.server.before = None
            phone.edit("Mail", **edit)

    world.server.before = overtake


def test_concurrent_edit_of_same_field_conflicts(world):
    world.laptop.add("login", *mail())
    overtaken(world, detail={"password": "theirs"}, overview={"username": "bob"})

    with pytest.raises(EditConflict) as conflict:
        world.laptop.edit("Mail", overview={"title": "Post"}, detail={"password": "ours"})

    assert conflict.value.fields == ["detail.password"]
    assert world.laptop.item("Mail").detail == {"password": "theirs"}


def test_concurrent_edit_of_other_field_is_merged_and_reported(world):
    world.laptop.add("login", *mail())
    overtaken(world, overview={"username": "bob"})

    edited = world.laptop.edit("Mail", overview=None, detail={"password": "ours"})

    assert (edited.overview["username"], edited.detail) == ("bob", {"password": "ours"})
    assert any("overview.username" in notice for notice in world.laptop.notices)
    contents = [
        (version.overview["username"], world.laptop.version("Mail", version.revision).detail)
        for version in world.laptop.history("Mail")
    ]
    assert contents == [
        ("bob", {"password": "ours"}),
        ("bob", {"password": "hunter2"}),
        ("ann", {"password": "hunter2"}),
    ]


def test_whole_item_edit_merges_only_changed_fields(world):
    seen = world.laptop.add("env_set", {"title": "prod"}, {"variables": {"A": "1", "B": "2"}})
    world.second().edit("prod", detail={"variables": {"A": "1", "B": "theirs", "C": "3"}})

    document = {"variables": {"A": "ours", "B": "2"}}
    world.laptop.edit("prod", overview=seen.overview, detail=document, revision=seen.revision)

    variables = world.laptop.item("prod").detail["variables"]
    assert variables == {"A": "ours", "B": "theirs", "C": "3"}


def test_edit_of_content_seen_before_rotation_does_not_conflict(world):
    seen = world.laptop.add("login", *mail())
    world.second().rotate()

    edited = world.laptop.edit("Mail", detail={"password": "ours"}, revision=seen.revision)

    assert edited.detail == {"password": "ours"}


@pytest.mark.parametrize("revision", [99, 1])
def test_edit_with_unknown_revision_is_a_conflict(world, revision):
    world.laptop.add("login", *mail("Bank"))
    world.laptop.add("login", *mail())

    with pytest.raises(EditConflict) as conflict:
        world.laptop.edit("Mail", detail={"password": "ours"}, revision=revision)

    assert conflict.value.fields == ["detail.password"]


def test_write_is_rebased_on_writes_of_others(world):
    phone = world.second()
    phone.add("login", *mail("Bank"))

    world.laptop.add("login", *mail())

    assert sorted(item.title for item in phone.items()) == ["Bank", "Mail"]


def test_writer_succeeds_after_many_conflicts(world):
    phone = world.second()
    overtaken = []

    def overtake(method, path):
        if method == "PUT" and "/items/" in path and len(overtaken) < 9:
            world.server.before = None
            overtaken.append(phone.add("login", *mail(str(len(overtaken)))))
            world.server.before = overtake

    world.server.before = overtake
    world.laptop.add("login", *mail())

    assert len(phone.items()) == 10


def test_trash_restore_and_remove(world):
    world.laptop.add("login", *mail())

    assert world.laptop.trash("Mail").state == "trash"
    assert world.laptop.items() == []
    assert [item.title for item in world.laptop.items(state="trash")] == ["Mail"]
    assert world.laptop.restore("Mail").state == "active"
    world.laptop.remove("Mail")
    assert world.laptop.items(state="any") == []
    with pytest.raises(ItemNotFound):
        world.laptop.item("Mail")
    assert world.second().items(state="any") == []


def test_trash_of_changed_item_is_rejected(world):
    world.laptop.add("login", *mail())
    phone = world.second()

    def overtake(method, path):
        if path.endswith("/trash"):
            world.server.before = None
            phone.edit("Mail", overview=None, detail={"password": "theirs"})

    world.server.before = overtake
    with pytest.raises(PreconditionFailed):
        world.laptop.trash("Mail")

    assert world.laptop.item("Mail").state == "active"


def test_duplicate_title_is_ambiguous_but_id_is_not(world):
    first = world.laptop.add("login", *mail())
    world.laptop.add("login", *mail())

    with pytest.raises(Ambiguous):
        world.laptop.item("Mail")
    assert world.laptop.item(str(first.id)).id == first.id


def test_list_iterator_opens_nothing_after_lock(world):
    for title in ("Mail", "Bank"):
        world.laptop.add("login", *mail(title))
    with world.laptop as laptop:
        each = laptop.each_item()
        next(each)

    with pytest.raises(Locked):
        next(each)


@pytest.mark.parametrize("many", [False, True])
def test_lost_first_response_adds_item_once(world, monkeypatch, many):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    sent = []

    def tamper(method, path, status, body):
        if method == "PUT" or path.endswith("/changes"):
            sent.append(path)
            if len(sent) == 1:
                raise httpx2.ReadError("lost")
            return 409, {"type": "urn:vaultr:problem:head-moved", "status": 409}
        return status, body

    world.server.tamper = tamper

    if many:
        world.laptop.add_many([Draft("login", *mail(title)) for title in ("Cloud", "Post")])
    else:
        world.laptop.add("login", *mail("Cloud"))

    titles = sorted(each.title for each in world.laptop.items())
    assert titles == (["Cloud", "Post"] if many else ["Cloud"])
