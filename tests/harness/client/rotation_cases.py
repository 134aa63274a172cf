"""A vault for key rotation tests, and checks of its state afterwards."""

from tests.harness.client.world import mail

TITLES = ["Bank", "Cloud", "Door", "Mail"]


def fill(world):
    """Return an owner with some items; one was edited, one trashed."""
    for title in TITLES:
        world.laptop.add("login", *mail(title, f"secret of {title}"))
    world.laptop.edit("Mail", detail={"password": "new"})
    world.laptop.trash("Door")
    world.laptop.close()
    return rewound(world)


def rewound(world):
    world.laptop = world.device("laptop")
    world.laptop.device.unlocked = world.kept.on(world.laptop)
    return world


def vault_of(world):
    (vault,) = world.server.vaults.values()
    return vault


def check_all_items_exist(device, *, generation):
    """Check that every item opens under the newest keys, and that none is lost or duplicated."""
    items = device.items(state="any")
    assert sorted(item.title for item in items) == TITLES
    for item in items:
        password = "new" if item.title == "Mail" else f"secret of {item.title}"
        assert device.item(str(item.id)).detail == {"password": password}
    (vault,) = device.device.unlocked.reader.vaults()
    assert vault.state.generation == generation
    assert {h.generation for h in vault.state.items.values() if h.state == "active"} == {generation}
    assert device.vaults()[0].name == "Personal"
