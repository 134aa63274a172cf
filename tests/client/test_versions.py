"""The SDK and the versions of an item: each must match the log, or is rejected."""

import copy

import pytest

from tests.harness.client.server_attacks import answering, flipped
from tests.harness.client.world import mail
from vaultr.client.errors import AnswerInvalid, IntegrityError
from vaultr.client.vaultr_client import EditConflict, NoSuchVersion
from vaultr.protocol.encoding import b64


@pytest.fixture
def edited(world):
    """An owner whose item has had three contents."""
    world.item = world.laptop.add("login", *mail(password="first"))
    world.laptop.edit("Mail", detail={"password": "second"})
    world.laptop.edit("Mail", overview={"title": "Post"}, detail={"password": "third"})
    return world


def test_versions_are_listed_newest_first_and_opened_one_by_one(edited):
    versions = edited.laptop.history("Post")

    assert [(each.revision, each.title, each.is_current) for each in versions] == [
        (3, "Post", True),
        (2, "Mail", False),
        (1, "Mail", False),
    ]
    assert {each.detail for each in versions} == {None}
    assert edited.laptop.version("Post", 1).detail == {"password": "first"}
    with pytest.raises(NoSuchVersion):
        edited.laptop.version("Post", 7)


def test_new_write_restores_a_version(edited):
    back = edited.laptop.bring_back("Post", 1)

    assert (back.title, back.revision) == ("Mail", 4)
    assert edited.second().item("Mail").detail == {"password": "first"}
    assert [each.revision for each in edited.laptop.history("Mail")] == [4, 3, 2, 1]


def test_version_is_restored_from_trash_in_one_write(edited):
    edited.laptop.trash("Post")
    edited.laptop.rotate()
    before = len(edited.sent("POST", "/changes"))

    back = edited.laptop.bring_back("Post", 2)

    assert (back.title, back.state) == ("Mail", "active")
    assert len(edited.sent("POST", "/changes")) == before + 1
    assert edited.second().item("Mail").detail == {"password": "second"}


def test_restoring_current_version_writes_nothing(edited):
    before = edited.server.vaults.copy()

    assert edited.laptop.bring_back("Post", 3).revision == 3
    assert edited.server.vaults == before


def test_old_versions_still_open_after_a_rotation(edited):
    edited.laptop.rotate()

    opened = [edited.laptop.version("Post", n).detail["password"] for n in (1, 2, 3)]

    assert opened == ["first", "second", "third"]
    assert len(edited.second().history("Post")) == 4


def test_restoring_a_version_restores_unknown_fields(world):
    world.laptop.add("login", {"title": "Mail", "newer": [1, {"x": None}]}, {"password": "p"})
    world.laptop.edit("Mail", overview={"newer": None})

    world.laptop.bring_back("Mail", 1)

    assert world.laptop.item("Mail").overview["newer"] == [1, {"x": None}]


def test_old_version_does_not_overwrite_concurrent_edit(edited):
    phone = edited.second()

    def overtake(method, path):
        if method == "PUT" and "/items/" in path:
            edited.server.before = None
            phone.edit("Post", detail={"password": "newest"})

    edited.server.before = overtake
    with pytest.raises(EditConflict):
        edited.laptop.bring_back("Post", 1)
    assert edited.laptop.item("Post").detail == {"password": "newest"}


def test_edit_between_sync_and_list_raises_no_error(edited):
    phone = edited.second()

    def overtake(method, path):
        if path.endswith("/versions"):
            edited.server.before = None
            phone.edit("Post", detail={"password": "newest"})

    edited.server.before = overtake

    assert [each.revision for each in edited.laptop.history("Post")] == [4, 3, 2, 1]


TAMPERINGS = {
    "another overview": lambda one, others: one.update(overview=others[1]["overview"]),
    "another detail": lambda one, others: one.update(detail=others[1]["detail"]),
    "both of another version": lambda one, others: one.update(
        overview=others[1]["overview"], detail=others[1]["detail"]
    ),
    "another entry": lambda one, others: one.update(entry=others[1]["entry"]),
    "another revision": lambda one, others: one.update(revision=others[1]["revision"]),
    "another type": lambda one, others: one.update(type="note"),
    "another generation": lambda one, others: one.update(generation=2),
    "no mac": lambda one, others: one["entry"].update(mac=b64(bytes(32))),
    "a spoilt overview": lambda one, others: one.update(overview=flipped(one["overview"])),
    "a spoilt detail": lambda one, others: one.update(detail=flipped(one["detail"])),
    "an entry of another item": lambda one, others: one.update(entry=others[-1]),
}


@pytest.mark.parametrize("attack", TAMPERINGS)
@pytest.mark.parametrize("revision", [1, 3])
def test_version_not_matching_its_entry_is_rejected(edited, attack, revision):
    other = edited.laptop.add("login", *mail("Other"))
    (vault,) = edited.server.vaults.values()
    stored = edited.server._versions(vault["id"], str(edited.item.id))
    others = [*copy.deepcopy(stored), edited.server.entry_of(vault["id"], other.revision)]

    def change(body):
        TAMPERINGS[attack](body, others)
        return body

    answering(edited, "GET", f"/versions/{revision}", change)
    with pytest.raises(IntegrityError):
        edited.laptop.version("Post", revision)


def test_version_list_without_current_or_duplicated_is_rejected(edited):
    answering(edited, "GET", "/versions", lambda body: body | {"versions": body["versions"][1:]})
    with pytest.raises(IntegrityError, match="withholds the current version"):
        edited.laptop.history("Post")

    answering(edited, "GET", "/versions", lambda body: body | {"versions": body["versions"] * 2})
    with pytest.raises(AnswerInvalid, match="twice"):
        edited.laptop.history("Post")


def test_version_of_unknown_put_is_rejected(edited):
    def change(body):
        one = copy.deepcopy(body["versions"][0])
        one["revision"] = one["entry"]["n"] = 9
        return body | {"versions": [one, *body["versions"]]}

    answering(edited, "GET", "/versions", change)
    with pytest.raises(IntegrityError):
        edited.laptop.history("Post")


def test_withheld_current_version_is_an_integrity_error(edited):
    def tamper(method, path, status, body):
        if path.endswith("/versions/3"):
            return 404, {"type": "urn:vaultr:problem:not-found", "status": 404}
        return status, body

    edited.server.tamper = tamper
    with pytest.raises(IntegrityError, match="withholds the current version"):
        edited.laptop.version("Post", 3)
