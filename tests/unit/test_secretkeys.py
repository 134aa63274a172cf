import sys
from types import SimpleNamespace
from uuid import UUID

import pytest

from vaultr.client.storage import secret_keys
from vaultr.client.storage.store import Store

ACCOUNT = UUID(int=7)
KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


class Desktop:
    """A keyring in memory, with the interface of the package `keyring`."""

    def __init__(self, priority=5):
        self.kept = {}
        self.locked = False
        self._backend = SimpleNamespace(priority=priority)

    def get_keyring(self):
        return self._backend

    def set_password(self, service, name, text):
        self._open()
        self.kept[service, name] = text

    def get_password(self, service, name):
        self._open()
        return self.kept.get((service, name))

    def delete_password(self, service, name):
        self._open()
        del self.kept[service, name]

    def _open(self):
        if self.locked:
            raise RuntimeError("the user said no")


@pytest.fixture
def desktop(monkeypatch):
    found = Desktop()
    monkeypatch.setitem(sys.modules, "keyring", found)
    monkeypatch.delenv("VAULTR_KEYRING", raising=False)
    return found


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def files(store):
    return [each.read_bytes() for each in store.folder.path.rglob("*.key") if "secret" in each.name]


def test_keyring_stores_key_and_file_only_its_name(desktop, store):
    store.keep_secret_key(ACCOUNT, KEY)

    assert store.secret_key(ACCOUNT) == KEY
    assert store.secret_key_place(ACCOUNT) == "the keyring"
    assert len(desktop.kept) == 1
    assert all(text.encode() not in file for text in desktop.kept.values() for file in files(store))


def test_without_keyring_secret_key_is_stored_in_private_file(monkeypatch, store):
    monkeypatch.setitem(sys.modules, "keyring", None)  # as if the extra were not installed

    store.keep_secret_key(ACCOUNT, KEY)

    assert store.secret_key(ACCOUNT) == KEY
    place = store.folder.path / f"secret-{ACCOUNT}.key"
    assert store.secret_key_place(ACCOUNT) == str(place)
    assert place.stat().st_mode & 0o777 == 0o600


def test_keyring_that_stores_nothing_is_ignored(monkeypatch, store):
    monkeypatch.setitem(sys.modules, "keyring", Desktop(priority=0))

    store.keep_secret_key(ACCOUNT, KEY)

    assert store.secret_key_place(ACCOUNT) != "the keyring"


def test_keyring_setting_off_stores_key_in_file(desktop, monkeypatch, store):
    monkeypatch.setenv("VAULTR_KEYRING", "off")

    store.keep_secret_key(ACCOUNT, KEY)

    assert desktop.kept == {}
    assert store.secret_key(ACCOUNT) == KEY


def test_failing_keyring_falls_back_to_the_file(desktop, store):
    desktop.locked = True

    store.keep_secret_key(ACCOUNT, KEY)

    assert store.secret_key(ACCOUNT) == KEY


def test_keyring_locked_later_is_reported_with_next_step(desktop, store):
    store.keep_secret_key(ACCOUNT, KEY)
    desktop.locked = True

    with pytest.raises(secret_keys.KeyringClosed) as closed:
        store.secret_key(ACCOUNT)

    assert "--secret-key-fd" in closed.value.advice


def test_invalid_text_in_keyring_is_rejected_as_secret_key(desktop, store):
    store.keep_secret_key(ACCOUNT, KEY)
    desktop.kept = dict.fromkeys(desktop.kept, "short")

    with pytest.raises(Exception, match="altered"):
        store.secret_key(ACCOUNT)


def test_replaced_key_remains_until_its_file_exists(desktop):
    first, second = secret_keys.store(ACCOUNT, KEY), secret_keys.store(ACCOUNT, OTHER)

    assert (secret_keys.read(first), secret_keys.read(second)) == (KEY, OTHER)
    secret_keys.forget(first)

    assert secret_keys.read(second) == OTHER
    with pytest.raises(secret_keys.KeyringClosed):
        secret_keys.read(first)


def test_forgotten_key_is_removed_from_keyring(desktop, store):
    store.keep_secret_key(ACCOUNT, KEY)

    store.forget_secret_key(ACCOUNT)

    assert desktop.kept == {}
    assert store.secret_key(ACCOUNT) is None
    assert store.secret_key_place(ACCOUNT) is None
