"""A fake server, and the devices of one owner."""

import copy
import shutil

from tests.harness.client.fake_server import FakeServer
from vaultr import Vaultr
from vaultr.client.account import unlock
from vaultr.client.sdk.unlocked_vaults import UnlockedVaults

EMAIL = "ann@example.org"
PASSWORD = "a master password for tests"
URL = "https://vault.example"


class World:
    """A server, and an owner whose first device is logged in."""

    def __init__(self, folder):
        self.server = FakeServer()
        self._folder = folder
        with self.device("laptop") as first:
            self.signup = first.signup(EMAIL, PASSWORD)
            first.verify("token0")
        self.laptop = self.device("laptop")
        self.laptop.login(EMAIL, PASSWORD)
        self.laptop.sync()
        self.laptop.close()

    def copied(self, folder):
        """Return the same world in another folder, without deriving keys again."""
        other = copy.copy(self)
        other.server = copy.deepcopy(self.server)
        other._folder = folder
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)
        other.laptop = other.device("laptop")
        other.laptop.device.unlocked = self.kept.on(other.laptop)
        return other

    def keep_key(self):
        """Store the account's key for the copies."""
        again = self.device("laptop")
        again.unlock(PASSWORD)
        self.kept = StoredKey(again.device.unlocked.account.account_key)
        return self

    def device(self, name):
        return Vaultr(URL, home=self._folder / name, transport=self.server.transport(), agent=False)

    def second(self, name="phone"):
        """Log in on another device."""
        device = self.device(name)
        device.login(EMAIL, PASSWORD, secret_key=self.signup.secret_key)
        return device

    def second_by_key(self, name="phone"):
        """Return another logged-in device, without deriving a key again."""
        shutil.copytree(self._folder / "laptop", self._folder / name)
        shutil.rmtree(self._folder / name / "vaults")
        for own in ("move.json", "new-keys-*", "made-vault.json"):
            for file in (self._folder / name).glob(own):
                file.unlink()
        device = self.device(name)
        device.device.unlocked = self.kept.on(device)
        return device

    def again(self):
        """Close the first device's session, and open it again."""
        self.laptop.close()
        self.laptop = self.device("laptop")
        self.laptop.device.unlocked = self.kept.on(self.laptop)
        return self.laptop

    def sent(self, method, ending):
        """Return the bodies of all requests to one route."""
        requested = self.server.requests
        return [body for verb, path, body in requested if verb == method and path.endswith(ending)]


class StoredKey:
    """An account's key, which unlocks a device like the agent would."""

    def __init__(self, key):
        self._key = key

    def on(self, device):
        """Unlock a device."""
        store = device.device.store
        opened = unlock.open_with_account_key(
            store, device.device.server(), store.account(), self._key
        )
        return UnlockedVaults(opened)


def mail(title="Mail", password="hunter2"):
    return {"title": title, "username": "ann"}, {"password": password}
