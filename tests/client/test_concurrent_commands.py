"""Two commands on one device: neither overwrites the other's changes; both report results."""

import threading

import pytest

from tests.harness.client.interleaved_commands import NEW, THIRD, check_account_intact, unlocked
from tests.harness.client.server_attacks import titles
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr.client.account.credentials import WrongPassword
from vaultr.client.account.password_proof import read_device
from vaultr.client.errors import CredentialsInvalid, Locked, SessionEnded, VaultrError
from vaultr.client.storage.store import Store
from vaultr.client.transport import account_session


def changing(world, old=PASSWORD, new=NEW, **args):
    """Prepare to change the password on the laptop, which has one item."""
    if not world.laptop.device.store.cache.ids() or not titles(world.laptop):
        world.laptop.add("login", *mail())
    world.laptop.close()
    device = unlocked(world, "laptop", old)
    return lambda: device.change_password(old, new, **{"new_key": False, **args})


def logged_in(world, password=PASSWORD):
    world.device("laptop").login(EMAIL, password)


def stored_session(world):
    return world.device("laptop").device.store.folder.read(account_session.SESSION_FILE)


@pytest.mark.parametrize("new_key", [False, True])
def test_unlock_during_passwd_accepts_or_rejects_old_password(crossed, new_key):
    def second(world):
        device = world.device("laptop")
        device.unlock(PASSWORD)
        return device.notices

    def check(world, one, other):
        assert not isinstance(one, VaultrError)
        assert other == [] or isinstance(other, WrongPassword), other
        check_account_intact(world, NEW, wrong=[PASSWORD])

    crossed(lambda world: changing(world, new_key=new_key), second, check)


@pytest.mark.parametrize("new_key", [False, True])
def test_unlock_during_passwd_accepts_or_rejects_new_password(crossed, new_key):
    def second(world):
        device = unlocked(world, "laptop", NEW)
        device.sync()
        return titles(device)

    def check(world, one, other):
        assert not isinstance(one, VaultrError)
        # Until the change has begun, the new password is just a wrong one.
        assert other == ["Mail"] or str(other) == "The master password is wrong.", other
        check_account_intact(world, NEW, wrong=[PASSWORD])

    crossed(lambda world: changing(world, new_key=new_key), second, check)


@pytest.mark.parametrize("new_key", [False, True])
def test_one_of_two_password_changes_succeeds(crossed, new_key):
    def second(world):
        device = unlocked(world, "laptop", PASSWORD)
        return device.change_password(PASSWORD, THIRD, new_key=new_key)

    def check(world, one, other):
        made = [not isinstance(each, VaultrError) for each in (one, other)]
        assert made in ([True, False], [False, True])
        lost = other if made[0] else one
        assert isinstance(lost, WrongPassword | Locked | CredentialsInvalid)
        password, wrong = (NEW, THIRD) if made[0] else (THIRD, NEW)
        check_account_intact(world, password, wrong=[PASSWORD, wrong])

    crossed(lambda world: changing(world, new_key=new_key), second, check)


def test_open_client_changes_password_after_another_one(worlds):
    world = worlds()
    device = unlocked(world, "laptop", PASSWORD)
    changing(world)()

    with pytest.raises(WrongPassword):
        device.change_password(PASSWORD, THIRD, new_key=False)
    device.change_password(NEW, THIRD, new_key=False)

    check_account_intact(world, THIRD, wrong=[PASSWORD, NEW])


WRITES = {
    "add": lambda device: device.add("login", *mail("Bank")),
    "edit": lambda device: device.edit("Mail", overview={"title": "Post"}),
    "vault": lambda device: device.create_vault("Work"),
    "rotate": lambda device: device.rotate(restart=True),
    "sync": lambda device: device.sync(),
    "recovery key": lambda device: device.create_recovery_key(),
}


@pytest.mark.parametrize("what", WRITES)
def test_new_account_key_during_write_leaves_consistent_account(crossed, what):
    def first(world):
        world.laptop.add("login", *mail())
        world.laptop.close()
        device = unlocked(world, "laptop", PASSWORD)

        def write():
            WRITES[what](device)
            device.close()

        return write

    def second(world):
        return unlocked(world, "laptop", PASSWORD).change_password(PASSWORD, NEW, new_key=True)

    def check(world, one, other):
        assert one is None or isinstance(one, Locked), repr(one)
        assert one is None or "unlock this device again" in str(one)
        assert not isinstance(other, VaultrError), repr(other)
        held = unlocked(world, "laptop", NEW)
        held.sync()
        found = set(titles(held))
        assert found == {"Post"} or {"Mail"} <= found <= {"Mail", "Bank"}
        if what in ("add", "edit") and one is None:
            assert found != {"Mail"}, "an acknowledged write exists"
        assert len(held.vaults()) == 1 + (what == "vault" and one is None)
        check_account_intact(world, NEW, wrong=[PASSWORD], items=found)

    crossed(first, second, check)


@pytest.mark.parametrize("what", ["logout", "logout_all"])
def test_login_during_logout_leaves_consistent_session(crossed, what):
    def check(world, one, other):
        assert one is None
        assert other is None
        # Logged in with a live session, or logged out without one, depending on which was last.
        assert (stored_session(world) is None) == (world.server.sessions == {})
        logged_in(world)
        assert titles(unlocked(world, "laptop", PASSWORD)) == []

    def first(world):
        return getattr(unlocked(world, "laptop", PASSWORD), what)

    crossed(first, logged_in, check, apart=1)


def test_logout_during_login_leaves_consistent_session(crossed):
    def second(world):
        unlocked(world, "laptop", PASSWORD).logout()

    def check(world, one, other):
        assert one is None
        assert other is None
        # The session that the login replaces may continue, because no other session can end it.
        new = {each["id"] for each in world.server.sessions.values()} - world.before
        assert (stored_session(world) is None) == (new == set())

    def first(world):
        world.before = {each["id"] for each in world.server.sessions.values()}
        device = world.device("laptop")
        return lambda: device.login(EMAIL, PASSWORD)

    crossed(first, second, check)


@pytest.mark.parametrize("what", ["sync", "add", "rotate"])
def test_command_overtaken_by_logout_stores_no_session(crossed, what):
    def first(world):
        world.laptop.add("login", *mail())
        world.laptop.close()
        device = unlocked(world, "laptop", PASSWORD)
        return lambda: WRITES[what](device)

    def second(world):
        unlocked(world, "laptop", PASSWORD).logout_all()

    def check(world, one, other):
        assert other is None
        assert not isinstance(one, VaultrError) or isinstance(one, SessionEnded)
        assert stored_session(world) is None
        assert "Mail" in titles(unlocked(world, "laptop", PASSWORD)), "cached items stay readable"

    crossed(first, second, check)


def test_command_overtaken_by_account_deletion_stores_nothing(crossed):
    def first(world):
        world.laptop.add("login", *mail())
        world.laptop.close()
        device = unlocked(world, "laptop", PASSWORD)
        return lambda: device.rotate(restart=True)

    def second(world):
        unlocked(world, "laptop", PASSWORD).delete_account()

    def check(world, one, other):
        assert other is None
        assert not isinstance(one, VaultrError) or isinstance(one, SessionEnded)
        assert stored_session(world) is None
        assert titles(unlocked(world, "laptop", PASSWORD)) == ["Mail"], "the cache stays"

    crossed(first, second, check)


class AtLook:
    """Runs ``command`` just after the ``at``-th read of one kind of file."""

    def __init__(self, name, at, command):
        self.thread = threading.Thread(target=command)
        self._name, self._at, self._looks = name, at, 0
        self._first, self._patch = threading.current_thread(), pytest.MonkeyPatch()

    def __enter__(self):
        read = getattr(Store, self._name)

        def looked(store, *arguments):
            found = read(store, *arguments)
            self._looks += threading.current_thread() is self._first
            if self._looks == self._at and self.thread.ident is None:
                self.thread.start()
                self.thread.join(5)
            return found

        self._patch.setattr(Store, self._name, looked)
        return self

    def __exit__(self, *error):
        self._patch.undo()

    @property
    def began(self):
        return self.thread.ident is not None


@pytest.mark.parametrize("name", ["device", "account", "secret_key"])
def test_password_is_used_with_consistent_state_during_change(worlds, name):
    for at in range(1, 20):
        world = worlds()
        device, change = unlocked(world, "laptop", PASSWORD), changing(world, new_secret_key=True)
        store, before = device.device.store, read_device(device.device.store)
        with AtLook(name, at, change) as look:
            found, kit = read_device(store), device.kit()
        after = read_device(store)
        if not look.began:
            break
        assert before != after
        assert found in (before, after)
        assert (kit.pins, kit.secret_key) in [(each[0].pins, each[2]) for each in (before, after)]

    assert at > 2


def test_change_ending_after_login_keeps_new_address(worlds):
    world, address = worlds(), "ann@elsewhere.example"
    login = world.device("laptop")
    change = changing(world)
    world.server.account["email"] = address  # as if both emails were confirmed

    def begun(method, path):
        if path == "/auth/step-up":  # the change has read the old address
            world.server.before = None
            login.login(address, PASSWORD)

    world.server.before = begun
    change()

    assert world.device("laptop").email == address
    world.device("laptop").login(address, NEW)
