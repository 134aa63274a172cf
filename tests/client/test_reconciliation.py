"""The SDK with a server restored from an older backup: the owner accepts it, no data is lost."""

import pytest

from tests.harness.client.restored_fake import (
    WHOLE,
    accepted,
    again,
    backup,
    check_nothing_lost,
    restore,
    rewound,
    saved,
    secrets_of,
)
from tests.harness.client.server_attacks import titles
from tests.harness.client.world import mail
from vaultr.client.errors import RolledBack
from vaultr.client.reconciliation.accept import NotShown
from vaultr.protocol.encoding import b64


def test_restored_backup_is_error_until_accepted(world):
    stored = saved(world)
    restore(world, stored)
    laptop = world.laptop

    with pytest.raises(RolledBack):
        laptop.sync()
    with pytest.raises(NotShown):
        laptop.accept()
    hows = [each.how for each in laptop.explain()]
    assert any("The server shows an older profile" in how for how in hows)
    assert any(how.startswith("the server does not have it") for how in hows)
    (one,) = laptop.accept()

    assert {each.why for each in one.again} == {
        "newer on this device",
        "the server lost it",
        "moved to the trash on this device",
        "restored on this device",
    }
    assert not one.repaired
    check_nothing_lost(laptop, world)


def test_only_listed_differences_are_accepted(world):
    stored = saved(world)
    restore(world, stored)
    world.laptop.explain()
    (vault,) = world.server.vaults.values()
    vault["head"] = b64(bytes(32))

    with pytest.raises(NotShown):
        world.laptop.accept()

    assert len(titles(world.laptop)) == 4


def test_second_device_accepts_writes_repeated_by_first(world):
    stored = saved(world)
    phone = world.second()
    phone.sync()
    phone.edit("Bank", detail={"password": "from the phone"})
    phone.close()
    phone = again(world, "phone")
    restore(world, stored)

    accepted(world.laptop)
    with pytest.raises(RolledBack):
        phone.sync()
    accepted(phone)
    world.laptop.sync()

    whole = WHOLE | {"Bank": "from the phone"}
    assert secrets_of(phone) == secrets_of(world.laptop) == whole
    assert [item.title for item in phone.items(state="trash")] == ["Door"]


def test_older_device_does_not_overwrite_newer_contents(world):
    laptop = world.laptop
    laptop.add("login", *mail("Mail", "first"))
    laptop.add("login", *mail("Bank", "first"))
    laptop.close()
    stored = backup(world)
    rewound(world).edit("Mail", detail={"password": "second"})
    phone = world.second()
    phone.sync()
    phone.close()
    phone = again(world, "phone")
    world.laptop.edit("Mail", detail={"password": "third"})
    world.laptop.close()
    rewound(world)
    restore(world, stored)

    accepted(world.laptop)
    (one,) = accepted(phone)

    assert secrets_of(phone) == {"Mail": "third", "Bank": "first"}
    assert [each.why.partition(":")[0] for each in one.again] == ["changed on both sides"]
    held = {phone.version("Mail", v.revision).detail["password"] for v in phone.history("Mail")}
    assert held == {"first", "second", "third"}


def test_edits_on_both_branches_survive(world):
    laptop = world.laptop
    laptop.add("login", *mail("Mail", "first"))
    laptop.close()
    stored = backup(world)
    rewound(world).edit("Mail", detail={"password": "before the restore"})
    world.laptop.close()
    rewound(world)
    restore(world, stored)
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
