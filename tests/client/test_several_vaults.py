"""The SDK with an honest server in memory: select vaults by name, and delete them."""

import copy
from uuid import UUID

import pytest

from tests.harness.client.world import mail
from vaultr.client.errors import (
    StepUpRequired,
    UsageError,
    VaultNotFound,
)
from vaultr.client.vaults.name_matching import Ambiguous
from vaultr.client.vaults.reader import NameUnfit

NAMES = ["Work", "", "  ", "3f2b1f6e-7a39-4b7e-9a53-0d7e6c1f2a44", "x" * 201]


@pytest.fixture
def two(world):
    """An owner with items in one of two vaults."""
    world.laptop.create_vault("Work")
    for title in ("Mail", "Bank", "Door"):
        world.laptop.add("login", *mail(title, f"secret of {title}"), vault="Personal")
    return world


# Names


@pytest.mark.parametrize("name", NAMES)
def test_ambiguous_vault_name_is_rejected(two, name):
    with pytest.raises(NameUnfit):
        two.laptop.create_vault(name)
    with pytest.raises(NameUnfit):
        two.laptop.rename_vault("Personal", name)

    assert sorted(vault.name for vault in two.laptop.vaults()) == ["Personal", "Work"]
    assert two.laptop.rename_vault("Work", "Work").name == "Work"


def test_vaults_of_same_name_are_distinguished_by_ids(two):
    phone = two.second()
    phone.sync()

    def overtake(method, path):
        if (method, path) == ("POST", "/vaults"):
            two.server.before = None
            phone.create_vault("Home")

    two.server.before = overtake
    two.laptop.create_vault("Home")

    ids = [str(vault.id) for vault in two.laptop.vaults() if vault.name == "Home"]
    assert len(ids) == 2
    with pytest.raises(Ambiguous) as reported:
        two.laptop.items(vault="Home")
    assert all(each in str(reported.value) for each in ids)
    assert two.laptop.items(vault=ids[0]) == []
    assert two.laptop.rename_vault(ids[0], "House").name == "House"


# Deleting


def test_account_without_vault_explains_how_to_create_one(world):
    world.laptop.delete_vault("Personal", confirm="Personal")

    with pytest.raises(VaultNotFound, match=r"has no vault\. Create one: vaultr vaults add NAME"):
        world.laptop.add("login", *mail())
    world.laptop.create_vault("Anew")
    assert world.laptop.add("login", *mail()).title == "Mail"


def test_vault_deletion_requires_its_exact_name(two):
    with pytest.raises(UsageError, match="Nothing was deleted"):
        two.laptop.delete_vault("Work", confirm="work")

    two.laptop.delete_vault("Work", confirm="Work")

    assert [vault.name for vault in two.laptop.vaults()] == ["Personal"]
    assert len(two.server.vaults) == 1


def test_deleted_vault_disappears_from_all_devices_and_disks(two, tmp_path):
    phone = two.second()
    phone.sync()
    doomed = next(v.id for v in two.laptop.vaults() if v.name == "Personal")
    assert list((tmp_path / "phone" / "vaults").glob(f"{doomed}*"))

    two.laptop.delete_vault("Personal", confirm="Personal")
    phone.sync()

    assert [vault.name for vault in phone.vaults()] == ["Work"]
    for name in ("laptop", "phone"):
        assert not list((tmp_path / name / "vaults").glob(f"{doomed}*"))


def test_vault_deletion_is_written_to_profile_first(two):
    order = []
    two.server.before = lambda method, path: order.append((method, path.partition("/vaults/")[0]))

    two.laptop.delete_vault("Work", confirm="Work")

    assert order.index(("PUT", "/auth/profile")) < order.index(("DELETE", ""))


def test_deletion_after_step_up_continues_by_id(two):
    two.server.step_up = False
    doomed = str(next(v.id for v in two.laptop.vaults() if v.name == "Work"))
    with pytest.raises(StepUpRequired):
        two.laptop.delete_vault("Work", confirm="Work")

    assert [vault.name for vault in two.laptop.vaults()] == ["Personal"]
    assert any(f"vaults rm {doomed}" in notice for notice in two.laptop.notices)
    two.server.step_up = True
    two.laptop.delete_vault(doomed, confirm="")
    assert doomed not in two.server.vaults


def test_deletion_with_lost_response_is_complete(two):
    two.server.lose = [("DELETE", "")]

    two.laptop.delete_vault("Work", confirm="Work")

    assert [vault.name for vault in two.laptop.vaults()] == ["Personal"]


def test_deleted_vault_in_list_is_never_opened(world):
    world.laptop.add("login", *mail())
    (vault_id,) = world.server.vaults
    held = world.laptop.device.unlocked.account
    held.write_profile(held.profile.with_deleted(UUID(vault_id)), lambda: None)

    assert world.laptop.items() == []
    assert world.second().items() == []

    assert ("DELETE", f"/vaults/{vault_id}") in [
        requested[:2] for requested in world.server.requests
    ]
    assert any("deleted" in notice for notice in world.laptop.notices)
    assert world.server.vaults == {}, "no first vault is created again"


def test_deleted_vault_listed_again_is_not_opened(world):
    world.laptop.add("login", *mail())
    (vault_id,) = world.server.vaults
    stored = copy.deepcopy(world.server.vaults)
    world.laptop.delete_vault("Personal", confirm="Personal")
    world.server.before = lambda *_: world.server.vaults.update(copy.deepcopy(stored))

    for device in (world.laptop, world.second()):
        device.sync()
        assert device.items(state="any") == []
        with pytest.raises(VaultNotFound):
            device.items(vault=vault_id)
