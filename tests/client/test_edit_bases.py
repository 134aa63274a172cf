"""An edit is merged with the version that its user saw, never with one that the server chooses."""

import pytest

from tests.harness.client.world import mail
from vaultr.client.vaultr_client import EditConflict


def hide(world, revision):
    """Make the server leave a version out of the list."""

    def tamper(method, path, status, body):
        if method == "GET" and path.endswith("/versions"):
            body["versions"] = [v for v in body["versions"] if v["revision"] != revision]
        return status, body

    world.server.tamper = tamper


@pytest.fixture
def edited(world):
    """An owner who saw the second of three contents, and wants the first one again."""
    world.laptop.add("login", *mail("Mail", "one"))
    world.seen = world.laptop.edit("Mail", detail={"password": "two"})
    world.laptop.edit("Mail", detail={"password": "three"})
    world.again()
    return world


def test_edit_based_on_hidden_content_is_a_conflict(edited):
    hide(edited, edited.seen.revision)

    with pytest.raises(EditConflict):
        edited.laptop.edit("Mail", detail={"password": "one"}, revision=edited.seen.revision)

    assert edited.laptop.item("Mail").detail["password"] == "three"


@pytest.fixture
def restored(world):
    """An owner who saw a restored item, which was edited later."""
    world.laptop.add("login", *mail("Mail", "one"))
    world.laptop.edit("Mail", overview={"username": "bob"})
    world.laptop.trash("Mail")
    world.seen = world.laptop.restore("Mail")
    world.laptop.edit("Mail", detail={"password": "two"})
    world.again()
    return world


def test_edit_of_restored_item_merges_later_changes(restored):
    now = restored.laptop.edit(
        "Mail", overview={"username": "ann"}, revision=restored.seen.revision
    )

    assert (now.overview["username"], now.detail["password"]) == ("ann", "two")


def test_edit_of_restored_item_with_hidden_put_is_a_conflict(restored):
    hide(restored, restored.seen.content_revision)

    with pytest.raises(EditConflict):
        restored.laptop.edit("Mail", overview={"username": "ann"}, revision=restored.seen.revision)
