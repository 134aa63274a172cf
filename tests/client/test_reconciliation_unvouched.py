"""Accept a set that no entry commits to: nothing that the device holds is lost."""

import copy

import pytest

from tests.harness.client.restored_fake import accepted, rewound, secrets_of
from tests.harness.client.world import mail
from vaultr.client.reconciliation.accept import NotShown
from vaultr.protocol.encoding import b64


@pytest.fixture
def edited(world):
    """An owner with an edited item, and another one."""
    laptop = world.laptop
    laptop.add("login", *mail("Mail", "first"))
    laptop.edit("Mail", detail={"password": "second"})
    laptop.add("login", *mail("Bank", "of the bank"))
    laptop.close()
    rewound(world)
    return world


WHOLE = {"Mail": "second", "Bank": "of the bank"}


def shown(world, title):
    """Return the server's data of one item; only the test knows its title."""
    (item,) = [each for each in world.laptop.items(offline=True) if each.title == title]
    (vault,) = world.server.vaults.values()
    return vault, vault["items"][str(item.id)]


def show_older(world, title="Mail"):
    """Show an older content of an item under its current revision."""
    vault, held = shown(world, title)
    older = vault["puts"][held["id"]][min(vault["puts"][held["id"]])]
    vault["items"][held["id"]] = copy.deepcopy(older) | {"revision": held["revision"]}


def hows(device):
    return {each.how.partition(":")[0] for each in device.explain()}


def test_newer_content_replaces_older_content_of_same_revision(edited):
    show_older(edited)
    assert "older content" in hows(edited.laptop)

    edited.laptop.accept()

    assert secrets_of(edited.laptop) == WHOLE
    assert secrets_of(edited.second()) == WHOLE


def rejected_write(world, title, password):
    """Seal another content for the revision of an item's last put, as in a rejected write."""
    account = world.laptop.device.unlocked
    (vault,) = account.reader.vaults()
    item = next(each for each in world.laptop.items(offline=True) if each.title == title)
    ground = account.reader.open_vault(vault)
    overview, _ = ground.opened(item.id)
    held = vault.state.items[item.id]
    parts = (overview, f'{{"password":"{password}"}}'.encode())
    return ground.put(item.id, held.type, held.content_revision, parts)


def test_content_outside_log_does_not_replace_logged_content(edited):
    change = rejected_write(edited, "Mail", "refused")
    _, held = shown(edited, "Mail")
    show_sealed(held, change)
    assert "another content with the same revision 2" in hows(edited.laptop)

    edited.laptop.accept()

    assert secrets_of(edited.laptop) == WHOLE


def show_sealed(held, change):
    sealed = {"overview": b64(change.overview), "detail": b64(change.detail)}
    held |= sealed | {"size": len(change.overview) + len(change.detail)}


def test_item_trashed_against_the_log_is_restored(edited):
    _, held = shown(edited, "Bank")
    held["state"] = "trash"
    assert "in the trash, on this device active" in hows(edited.laptop)

    edited.laptop.accept()

    assert secrets_of(edited.laptop) == WHOLE


def test_newer_vault_name_replaces_a_rolled_back_name(edited):
    (vault,) = edited.server.vaults.values()
    older = {name: vault[name] for name in ("overview", "overview_revision")}
    edited.laptop.rename_vault("Personal", "Mine")
    edited.laptop.close()
    rewound(edited)
    vault |= older

    accepted(edited.laptop)

    assert [each.name for each in edited.laptop.vaults()] == ["Mine"]


def test_unlisted_state_is_not_accepted_under_same_head(edited):
    _, bank = shown(edited, "Bank")
    bank["state"] = "trash"  # what the owner sees and accepts
    assert hows(edited.laptop) >= {"in the trash, on this device active"}
    assert not edited.laptop.was_listed()
    edited.laptop.explain()
    assert edited.laptop.was_listed()

    show_older(edited)
    with pytest.raises(NotShown):
        edited.laptop.accept()

    edited.laptop.explain()
    assert not edited.laptop.was_listed()
    edited.laptop.accept()
    assert secrets_of(edited.laptop) == WHOLE


def test_accepted_state_is_not_reported_again(edited):
    show_older(edited)
    assert not any(each.continues for each in edited.laptop.explain())

    edited.laptop.accept()

    assert edited.laptop.explain() == []
