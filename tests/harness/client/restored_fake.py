"""A fake server that is restored from a backup, and its owner's state before that."""

import copy

from tests.harness.client.world import mail


def backup(world):
    server = world.server
    return copy.deepcopy((server.vaults, server.account["profile"]))


def restore(world, snapshot):
    vaults, profile = copy.deepcopy(snapshot)
    world.server.vaults = vaults
    world.server.account["profile"] = profile


def accepted(device):
    """List the differences, and accept them."""
    device.explain()
    return device.accept()


def rewound(world):
    world.laptop.device.drop()
    world.laptop = world.device("laptop")
    world.laptop.device.unlocked = world.kept.on(world.laptop)
    return world.laptop


def secrets_of(device):
    """Return the secrets of every active item."""
    return {item.title: device.item(str(item.id)).detail["password"] for item in device.items()}


def saved(world):
    """A backup, and the owner's later changes: edit, add, trash, restore, rename."""
    laptop = world.laptop
    for title in ("Mail", "Bank", "Door", "Lamp"):
        laptop.add("login", *mail(title, f"first {title}"))
    laptop.trash("Lamp")
    laptop.close()
    stored = backup(world)
    laptop = rewound(world)
    laptop.edit("Mail", detail={"password": "second Mail"})
    laptop.add("login", *mail("New", "first New"))
    laptop.trash("Door")
    laptop.restore("Lamp")
    laptop.rename_vault("Personal", "Mine")
    laptop.close()
    rewound(world)
    return stored


WHOLE = {
    "Mail": "second Mail",
    "Bank": "first Bank",
    "New": "first New",
    "Lamp": "first Lamp",
}


def check_nothing_lost(device, world):
    assert secrets_of(device) == WHOLE
    assert [item.title for item in device.items(state="trash")] == ["Door"]
    assert [vault.name for vault in device.vaults()] == ["Mine"]
    assert all(each.continues for each in device.explain())
    assert secrets_of(world.second("another" + str(len(world.server.requests)))) == WHOLE


def again(world, name):
    device = world.device(name)
    device.device.unlocked = world.kept.on(device)
    return device
