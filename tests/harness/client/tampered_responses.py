"""Actions of an owner while one response is tampered with, and checks afterwards."""

import copy
import shutil

from tests.harness.client.world import mail
from vaultr.client.errors import VaultrError
from vaultr.protocol.encoding import b64, unb64

GONE = object()
# Every content that an item ever really had; a device must show only these.
TRUTH = {
    "Mail": [{"password": "hunter2"}, {"password": "new"}],
    "Bank": [{"password": "hunter2"}, {"password": "newer"}],
    "Door": [{"password": "hunter2"}],
    "Cloud": [{"password": "hunter2"}],
}
ODD = (GONE, None, 0, -1, 1, 2, 1 << 53, 1 << 200, 1.5, True, "", "x", "\ud800", "\0", "A" * 43)


def places(value, path=()):
    """Yield every path in a JSON value, starting with the value itself."""
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from places(each, (*path, number))


def replacements(value):
    """Return possible replacements of one value."""
    found = [*ODD, [], {}]
    match value:
        case bool():
            found.append(not value)
        case int():
            found += [value + 1, value - 1]
        case str():
            found += [value.swapcase(), value[:-1], value + "A", *flips(value)]
        case list():
            found += [value + copy.deepcopy(value[:1]), value[1:], value[::-1]]
        case dict():
            found.append(value | {"extra": 1})
    return found


def flips(text):
    try:
        data = unb64(text)
    except ValueError:
        return []
    at = [place for place in (0, 1, 40, len(data) - 1) if place < len(data)]
    return [b64(data[:each] + bytes([data[each] ^ 1]) + data[each + 1 :]) for each in at]


def tampered(body, path, attack):
    """Return ``body`` with one replaced value."""
    if not path:
        return None if attack is GONE else attack
    around = body = copy.deepcopy(body)
    for name in path[:-1]:
        around = around[name]
    if attack is GONE:
        del around[path[-1]]
    else:
        around[path[-1]] = attack
    return body


class OwnerActions:
    """Actions of an owner on an outdated device, with one tampered response."""

    def __init__(self, first_world, folder, acts, *, is_new):
        self._acts = acts
        self._kept, self._folder = first_world.kept, folder
        self.world = first_world.copied(folder)
        laptop = self.world.laptop
        for title in ("Mail", "Door"):
            laptop.add("login", *mail(title))
        laptop.trash("Door")
        laptop.close()
        shutil.copytree(folder / "laptop", folder / "phone")
        with self.device("phone") as phone:
            phone.add("login", *mail("Bank"))
            phone.edit("Mail", detail={"password": "new"})
            phone.restore("Door")
            phone.rename_vault("Personal", "Mine")
        self.world.server.page = 3
        if is_new:
            shutil.rmtree(folder / "laptop" / "vaults")

    def device(self, name):
        device = self.world.device(name)
        device.device.unlocked = self._kept.on(device)
        return device

    def run_tampered(self, tamper):
        """Run all actions, or stop at the first `VaultrError`; raise any other exception."""
        number = iter(range(1000))
        self.world.server.tamper = lambda *requested: tamper(next(number), *requested)
        try:
            with self.device("laptop") as laptop:
                self._acts(laptop)
        except VaultrError:
            return False
        finally:
            self.world.server.tamper = None
        return True

    def check(self, *, done):
        """Check that the device holds no false data, and works again with an honest server."""
        device = self.device("laptop")
        for item in device.items(offline=True, state="any"):
            assert device.item(str(item.id), offline=True).detail in TRUTH[item.title]

        device.sync()

        titles = {item.title for item in device.items(state="any")}
        assert {"Bank", "Door", "Mail"} <= titles
        assert "Cloud" in titles or not done
        device.close()
        shutil.rmtree(self._folder)


def tampered_at(number, path, chance):
    """Tamper with one value in the response with this number; ``chance`` chooses how."""

    def tamper(requested, method, where, status, body):
        if requested != number or body is None:
            return status, body
        try:
            value = body
            for name in path:
                value = value[name]
        except (KeyError, IndexError, TypeError):
            return status, body
        return status, tampered(body, path, chance.choice(replacements(value)))

    return tamper


def answers_of(story):
    """Return all responses without tampering."""
    seen = []

    def keep(number, method, path, status, body):
        seen.append((status, copy.deepcopy(body)))
        return status, body

    assert story.run_tampered(keep)
    story.check(done=True)
    return seen
