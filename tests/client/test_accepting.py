"""The SDK and a server restored from an older backup: accepted by hand, and nothing is lost."""

import copy
import json

import pytest

from tests.client.kills import killed, requests_of
from tests.client.lies import titles
from tests.client.world import EMAIL, PASSWORD, mail
from vaultr.client.accepting import NotShown
from vaultr.client.errors import IntegrityError, RolledBack, SealBroken, StepUpRequired
from vaultr.protocol.encoding import b64


def backup(world):
    server = world.server
    return copy.deepcopy((server.vaults, server.account["profile"]))


def restore(world, kept):
    vaults, profile = copy.deepcopy(kept)
    world.server.vaults = vaults
    world.server.account["profile"] = profile


def accepted(device):
    """List the differences, and accept them."""
    device.explain()
    return device.accept()


def rewound(world):
    world.laptop._drop()
    world.laptop = world.device("laptop")
    world.laptop._desk = world.kept.on(world.laptop)
    return world.laptop


def secrets_of(device):
    """Give what every active item holds."""
    return {item.title: device.item(str(item.id)).detail["password"] for item in device.items()}


def saved(world):
    """A backup, and what an owner did after it: edited, added, trashed, restored, renamed."""
    laptop = world.laptop
    for title in ("Mail", "Bank", "Door", "Lamp"):
        laptop.add("login", *mail(title, f"first {title}"))
    laptop.trash("Lamp")
    laptop.close()
    kept = backup(world)
    laptop = rewound(world)
    laptop.edit("Mail", detail={"password": "second Mail"})
    laptop.add("login", *mail("New", "first New"))
    laptop.trash("Door")
    laptop.restore("Lamp")
    laptop.rename_vault("Personal", "Mine")
    laptop.close()
    rewound(world)
    return kept


WHOLE = {
    "Mail": "second Mail",
    "Bank": "first Bank",
    "New": "first New",
    "Lamp": "first Lamp",
}


def check_whole(device, world):
    assert secrets_of(device) == WHOLE
    assert [item.title for item in device.items(state="trash")] == ["Door"]
    assert [vault.name for vault in device.vaults()] == ["Mine"]
    assert all(each.continues for each in device.explain())
    assert secrets_of(world.second("another" + str(len(world.server.requests)))) == WHOLE


def test_a_restored_backup_is_an_error_until_its_differences_are_accepted(world):
    kept = saved(world)
    restore(world, kept)
    laptop = world.laptop

    with pytest.raises(RolledBack):
        laptop.sync()
    with pytest.raises(NotShown):
        laptop.accept()
    hows = [each.how for each in laptop.explain()]
    assert any("the profile went back" in how for how in hows)
    assert any(how.startswith("missing: held is revision") for how in hows)
    (one,) = laptop.accept()

    assert {each.why for each in one.again} == {
        "newer here",
        "the server lost it",
        "trashed here",
        "restored here",
    }
    assert not one.repaired
    check_whole(laptop, world)


def test_what_was_listed_is_what_is_accepted_and_nothing_else(world):
    kept = saved(world)
    restore(world, kept)
    world.laptop.explain()
    (vault,) = world.server.vaults.values()
    vault["head"] = b64(bytes(32))

    with pytest.raises(NotShown):
        world.laptop.accept()

    assert len(titles(world.laptop)) == 4


def test_a_second_device_accepts_what_the_first_one_wrote_again(world):
    kept = saved(world)
    phone = world.second()
    phone.sync()
    phone.edit("Bank", detail={"password": "from the phone"})
    phone.close()
    phone = again(world, "phone")
    restore(world, kept)

    accepted(world.laptop)
    with pytest.raises(RolledBack):
        phone.sync()
    accepted(phone)
    world.laptop.sync()

    whole = WHOLE | {"Bank": "from the phone"}
    assert secrets_of(phone) == secrets_of(world.laptop) == whole
    assert [item.title for item in phone.items(state="trash")] == ["Door"]


def again(world, name):
    device = world.device(name)
    device._desk = world.kept.on(device)
    return device


def test_a_device_that_is_behind_does_not_put_older_contents_over_newer_ones(world):
    laptop = world.laptop
    laptop.add("login", *mail("Mail", "first"))
    laptop.add("login", *mail("Bank", "first"))
    laptop.close()
    kept = backup(world)
    rewound(world).edit("Mail", detail={"password": "second"})
    phone = world.second()
    phone.sync()
    phone.close()
    phone = again(world, "phone")
    world.laptop.edit("Mail", detail={"password": "third"})
    world.laptop.close()
    rewound(world)
    restore(world, kept)

    accepted(world.laptop)
    (one,) = accepted(phone)

    assert secrets_of(phone) == {"Mail": "third", "Bank": "first"}
    assert [each.why.partition(":")[0] for each in one.again] == ["changed on both sides"]
    held = {phone.version("Mail", v.revision).detail["password"] for v in phone.history("Mail")}
    assert held == {"first", "second", "third"}


def test_edits_on_both_branches_are_both_kept(world):
    laptop = world.laptop
    laptop.add("login", *mail("Mail", "first"))
    laptop.close()
    kept = backup(world)
    rewound(world).edit("Mail", detail={"password": "before the restore"})
    world.laptop.close()
    rewound(world)
    restore(world, kept)
    new = world.second("new")
    new.edit("Mail", detail={"password": "after the restore"})
    new.close()

    accepted(world.laptop)

    assert secrets_of(world.laptop) == {"Mail": "after the restore"}
    passwords = [
        world.laptop.version("Mail", each.revision).detail["password"]
        for each in world.laptop.history("Mail")
    ]
    assert passwords == ["after the restore", "before the restore", "after the restore", "first"]


def test_a_whole_vault_that_was_lost_is_made_again_under_its_id(world):
    kept = saved(world)
    world.laptop.create_vault("Work")
    world.laptop.add("login", *mail("Ship", "first Ship"), vault="Work")
    work = next(each.id for each in world.laptop.vaults() if each.name == "Work")
    world.laptop.close()
    rewound(world)
    restore(world, kept)

    accepted(world.laptop)

    assert {vault.id: vault.name for vault in world.laptop.vaults()}[work] == "Work"
    assert secrets_of(world.laptop) == WHOLE | {"Ship": "first Ship"}
    assert secrets_of(world.second()) == WHOLE | {"Ship": "first Ship"}


def test_a_vault_deleted_after_the_backup_stays_deleted(world):
    world.laptop.create_vault("Work")
    kept = saved_with(world, "Work")
    world.laptop.delete_vault("Work", confirm="Work")
    world.laptop.close()
    rewound(world)
    restore(world, kept)

    accepted(world.laptop)

    assert [vault.name for vault in world.laptop.vaults()] == ["Personal"]
    assert len(world.server.vaults) == 1
    assert [vault.name for vault in world.second().vaults()] == ["Personal"]


def saved_with(world, name):
    world.laptop.add("login", *mail(), vault=name)
    world.laptop.close()
    kept = backup(world)
    rewound(world)
    return kept


def test_keys_that_were_replaced_after_the_backup_are_due_again(world):
    kept = saved(world)
    world.laptop.rotate()
    world.laptop.close()
    rewound(world)
    restore(world, kept)

    (one,) = accepted(world.laptop)

    assert one.keys_lost
    assert secrets_of(world.laptop) == WHOLE
    assert any("vaultr rotate" in notice for notice in world.laptop.notices)
    world.laptop.rotate()
    assert secrets_of(world.second()) == WHOLE
    (vault,) = world.server.vaults.values()
    assert vault["generation"] == 2


def test_a_lost_tail_of_one_vault_alone_is_accepted(world):
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
    kept = saved(world)
    (old,), (now,) = kept[0].values(), world.server.vaults.values()
    now["items"] = copy.deepcopy(old["items"])
    return now


def test_a_set_that_nothing_vouches_for_is_vouched_for_by_a_repair_first(world):
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


def test_items_that_nobody_can_open_are_not_vouched_for(world):
    vault = half_restored(world)
    stray = copy.deepcopy(next(iter(vault["items"].values())))
    stray["id"] = "3f2b1f6e-7a39-4b7e-9a53-0d7e6c1f2a44"
    stray["revision"] = stray["content_revision"] = 3
    vault["items"][stray["id"]] = stray
    world.laptop.explain()

    with pytest.raises((SealBroken, IntegrityError), match=r"3f2b1f6e|revision"):
        world.laptop.accept()

    assert secrets_of_copy(world.laptop) == {*WHOLE}


def test_an_acceptance_killed_anywhere_is_gone_on_with_and_loses_nothing(world, tmp_path_factory):
    kept, folder = saved(world), tmp_path_factory.mktemp("killed")
    restore(world, kept)

    def act(one):
        one.laptop.accept()

    world.laptop.explain()
    state = copy.deepcopy(world.server.vaults), copy.deepcopy(world.server.account)
    world.laptop._drop()
    steps = requests_of(prepared(world, folder / "count", state), act)
    for number in range(1, steps + 1):
        for done in (False, True):
            one = prepared(world, folder / f"{number}-{done}", state)
            killed(one, act, number, done=done)

            laptop = rewound(one)
            accepted(laptop)

            assert secrets_of(laptop) == WHOLE, (number, done)
            assert [item.title for item in laptop.items(state="trash")] == ["Door"]
            assert laptop._store.aside.ids() == []


def prepared(world, folder, state):
    one = world.copied(folder)
    one.server.vaults, one.server.account = copy.deepcopy(state)
    return one


def test_a_login_after_the_restore_is_an_error_and_yet_the_way_to_accept(world):
    kept = saved(world)
    restore(world, kept)
    world.server.sessions.clear()
    laptop = world.device("laptop")

    with pytest.raises(RolledBack, match="profile"):
        laptop.login(EMAIL, PASSWORD)
    laptop.unlock(PASSWORD)
    accepted(laptop)

    check_whole(laptop, world)


def test_nothing_is_written_again_where_nothing_is_lost(world):
    saved(world)
    before = json.dumps([v["entries"] for v in world.server.vaults.values()])

    (one,) = accepted(world.laptop)

    assert one.again == ()
    assert json.dumps([v["entries"] for v in world.server.vaults.values()]) == before
