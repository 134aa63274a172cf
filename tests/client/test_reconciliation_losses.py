"""The SDK with a server that lost vaults, keys or its last entries: what is accepted, and how."""

import copy
import json

import pytest

from tests.harness.client.kill_points import killed, requests_of
from tests.harness.client.restored_fake import (
    WHOLE,
    accepted,
    backup,
    check_nothing_lost,
    restore,
    rewound,
    saved,
    secrets_of,
)
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr.client.errors import IntegrityError, RolledBack, SealBroken, StepUpRequired


def test_lost_vault_is_recreated_under_its_id(world):
    stored = saved(world)
    world.laptop.create_vault("Work")
    world.laptop.add("login", *mail("Ship", "first Ship"), vault="Work")
    work = next(each.id for each in world.laptop.vaults() if each.name == "Work")
    world.laptop.close()
    rewound(world)
    restore(world, stored)

    accepted(world.laptop)

    assert {vault.id: vault.name for vault in world.laptop.vaults()}[work] == "Work"
    assert secrets_of(world.laptop) == WHOLE | {"Ship": "first Ship"}
    assert secrets_of(world.second()) == WHOLE | {"Ship": "first Ship"}


def test_vault_deleted_after_the_backup_stays_deleted(world):
    world.laptop.create_vault("Work")
    stored = saved_with(world, "Work")
    world.laptop.delete_vault("Work", confirm="Work")
    world.laptop.close()
    rewound(world)
    restore(world, stored)

    accepted(world.laptop)

    assert [vault.name for vault in world.laptop.vaults()] == ["Personal"]
    assert len(world.server.vaults) == 1
    assert [vault.name for vault in world.second().vaults()] == ["Personal"]


def saved_with(world, name):
    world.laptop.add("login", *mail(), vault=name)
    world.laptop.close()
    stored = backup(world)
    rewound(world)
    return stored


def test_keys_rotated_after_the_backup_are_rotated_again(world):
    stored = saved(world)
    world.laptop.rotate()
    world.laptop.close()
    rewound(world)
    restore(world, stored)

    (one,) = accepted(world.laptop)

    assert one.keys_lost
    assert secrets_of(world.laptop) == WHOLE
    assert secrets_of(world.second()) == WHOLE
    (vault,) = world.server.vaults.values()
    assert vault["generation"] == 2


def test_lost_last_write_of_one_vault_is_accepted(world):
    world.laptop.add("login", *mail("Mail", "first"))
    vaults = copy.deepcopy(world.server.vaults)
    world.laptop.add("login", *mail("Bank", "first"))
    world.laptop.close()
    rewound(world)
    world.server.vaults = vaults

    accepted(world.laptop)

    assert secrets_of(world.laptop) == {"Mail": "first", "Bank": "first"}
    assert secrets_of(world.second()) == {"Mail": "first", "Bank": "first"}


def half_restored(world):
    """Show a set whose items are older than its log."""
    stored = saved(world)
    (old,), (now,) = stored[0].values(), world.server.vaults.values()
    now["items"] = copy.deepcopy(old["items"])
    return now


def test_unvouched_state_is_repaired_first(world):
    vault = half_restored(world)
    world.server.step_up = False
    world.laptop.explain()
    with pytest.raises(StepUpRequired):
        world.laptop.accept()
    assert secrets_of_copy(world.laptop) == {*WHOLE}
    world.server.step_up = True

    (one,) = accepted(world.laptop)

    assert one.repaired
    ops = [entry["op"] for entry in vault["entries"]]
    assert "repair" in ops
    assert secrets_of(world.laptop) == WHOLE
    assert secrets_of(world.second()) == WHOLE


def secrets_of_copy(device):
    return {item.title for item in device.items(offline=True)}


def test_unreadable_items_are_not_vouched_for(world):
    vault = half_restored(world)
    stray = copy.deepcopy(next(iter(vault["items"].values())))
    stray["id"] = "3f2b1f6e-7a39-4b7e-9a53-0d7e6c1f2a44"
    stray["revision"] = stray["content_revision"] = 3
    vault["items"][stray["id"]] = stray
    world.laptop.explain()

    with pytest.raises((SealBroken, IntegrityError), match=r"3f2b1f6e|revision"):
        world.laptop.accept()

    assert secrets_of_copy(world.laptop) == {*WHOLE}


def test_accept_killed_anywhere_resumes_and_loses_nothing(world, tmp_path_factory):
    stored, folder = saved(world), tmp_path_factory.mktemp("killed")
    restore(world, stored)

    def act(one):
        one.laptop.accept()

    world.laptop.explain()
    state = copy.deepcopy(world.server.vaults), copy.deepcopy(world.server.account)
    world.laptop.device.drop()
    steps = requests_of(prepared(world, folder / "count", state), act)
    for number in range(1, steps + 1):
        for done in (False, True):
            one = prepared(world, folder / f"{number}-{done}", state)
            killed(one, act, number, done=done)

            laptop = rewound(one)
            accepted(laptop)

            assert secrets_of(laptop) == WHOLE, (number, done)
            assert [item.title for item in laptop.items(state="trash")] == ["Door"]
            assert laptop.device.store.aside.ids() == []


def prepared(world, folder, state):
    one = world.copied(folder)
    one.server.vaults, one.server.account = copy.deepcopy(state)
    return one


def test_login_after_restore_fails_and_allows_accept(world):
    stored = saved(world)
    restore(world, stored)
    world.server.sessions.clear()
    laptop = world.device("laptop")

    with pytest.raises(RolledBack, match="profile"):
        laptop.login(EMAIL, PASSWORD)
    laptop.unlock(PASSWORD)
    accepted(laptop)

    check_nothing_lost(laptop, world)


def test_accept_without_lost_writes_repeats_none(world):
    saved(world)
    before = json.dumps([v["entries"] for v in world.server.vaults.values()])

    (one,) = accepted(world.laptop)

    assert one.again == ()
    assert json.dumps([v["entries"] for v in world.server.vaults.values()]) == before
