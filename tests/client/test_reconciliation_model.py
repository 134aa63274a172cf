"""Random actions of three devices and a restored server: all devices agree, and nothing is lost."""

import random

import pytest

from tests.harness.client.restored_fake import again, backup, restore
from vaultr.client.errors import IntegrityError

LONG = pytest.mark.long
NAMES = ("laptop", "phone", "tablet")


class Story:
    """Random actions of three devices; each password is written only once."""

    def __init__(self, world, seed):
        self.world = world
        self.chance = random.Random(seed)
        self.removed = set()
        self.written = 0
        world.laptop.close()
        for name in NAMES[1:]:
            world.second_by_key(name).close()

    def password(self):
        self.written += 1
        return {"password": f"p{self.written}"}

    def act(self, device):
        """Do one action."""
        active, trash = device.items(), device.items(state="trash")
        choices = ["add", *["edit", "trash"] * bool(active), *["restore", "remove"] * bool(trash)]
        choices += ["edit"] * 2 * bool(active) + ["rotate", "rename"] * (self.chance.random() < 0.2)
        match self.chance.choice(choices):
            case "add":
                device.add("login", {"title": f"t{self.written}"}, self.password())
            case "edit":
                device.edit(str(self.chance.choice(active).id), detail=self.password())
            case "trash":
                device.trash(str(self.chance.choice(active).id))
            case "restore":
                device.restore(str(self.chance.choice(trash).id))
            case "remove":
                doomed = self.chance.choice(trash)
                self.removed.add(doomed.id)
                device.remove(str(doomed.id))
            case "rotate":
                device.rotate()
            case "rename":
                device.rename_vault(str(device.vaults()[0].id), f"name {self.written}")

    def acts(self, most, names=NAMES):
        for _ in range(self.chance.randint(0, most)):
            with again(self.world, self.chance.choice(names)) as device:
                self.act(device)

    def held(self):
        """Return the content of each device: every password, and its item."""
        found = {}
        for name in NAMES:
            device = again(self.world, name)
            for item in device.items(offline=True, state="any"):
                found[device.item(str(item.id), offline=True).detail["password"]] = item.id
            device.device.drop()
        return found

    def accept(self, name):
        """Bring one device up to date, with an acceptance if necessary."""
        device = again(self.world, name)
        try:
            device.sync()
        except IntegrityError:
            device.explain()
            device.accept()
        device.close()


def stored_passwords(device):
    """Return every password in any version of any item."""
    return {
        device.version(str(item.id), version.revision).detail["password"]
        for item in device.items(state="any")
        for version in device.history(str(item.id))
    }


def state_of(device):
    items = device.items(state="any")
    shown = [(item.id, item.state, device.item(str(item.id)).detail) for item in items]
    return sorted(shown, key=str), [vault.name for vault in device.vaults()]


@pytest.mark.parametrize("block", [0, *(pytest.param(n, marks=LONG) for n in range(1, 20))])
def test_devices_converge_after_any_sequence_without_loss(first_world, tmp_path, count, block):
    for seed in range(100 * block, 100 * block + count(4, many=25)):
        world = first_world.copied(tmp_path / str(seed))
        story = Story(world, seed)
        story.acts(8)
        saved = backup(world)
        story.acts(8)
        held = story.held()
        restore(world, saved)

        order = story.chance.sample(NAMES, 3)
        for name in order:
            story.accept(name)
            story.acts(2, names=[name])
        for name in NAMES:
            story.accept(name)

        devices = [again(world, name) for name in NAMES]
        states = [state_of(device) for device in devices]
        assert states[0] == states[1] == states[2], seed
        wanted = {text for text, item_id in held.items() if item_id not in story.removed}
        assert wanted <= stored_passwords(devices[0]), (seed, wanted - stored_passwords(devices[0]))
        assert all(device.explain() == [] for device in devices), seed
        for device in devices:
            device.device.drop()
