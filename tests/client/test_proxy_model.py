"""Random tampering and random commands: nothing is lost, and nothing false is accepted."""

import contextlib
import copy
import itertools
import re
import tracemalloc
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.harness.client.huge_numbers import HUGE, MEMORY_BYTES, numbers_in, replaced
from tests.harness.client.server_attacks import flipped
from tests.harness.client.tampering_proxy import ITEM, Proxy, forge_last_entry
from tests.harness.client.world import EMAIL, PASSWORD
from vaultr.client.account import recovery
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import IntegrityError, VaultrError
from vaultr.client.log import pages, unvouched, verify
from vaultr.client.reconciliation.unvouched_set import Unvouched
from vaultr.protocol.encoding import unb64

NEW = "another master password"
KEPT = {"first Bank"}  # the password that no command changes


@pytest.fixture(scope="module")
def tampering_proxy(derived_at_once, tmp_path_factory):
    """A vault with two generations, and a recovery whose waiting time is over."""
    proxy = Proxy(tmp_path_factory.mktemp("model"))
    with proxy.opened() as laptop:
        laptop.rotate()
        laptop.step_up(PASSWORD)
        proxy.paper = laptop.create_recovery_key().text
    with proxy.sdk("new") as new:
        new.ask_recovery(EMAIL)
        token = proxy.server.recovery["token"]
        new.start_recovery(EMAIL, token, RecoveryKey.read(proxy.paper))
    with proxy.opened("phone") as phone:  # so that a sync returns something
        phone.sync()
        phone.add("login", {"title": "Of the phone"}, {"password": "of the phone"})
    proxy.server.recovery["ready_at"] = datetime.now(UTC) - timedelta(seconds=1)
    proxy.saved = proxy.saved.with_name("model-saved")
    proxy.save()
    yield proxy
    proxy.close()


class Tamperings:
    """Behaviour of a server: tampering with stored data, and with responses."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.hidden = []

    def alter(self, number):
        row = self._row(number)
        for part in ("overview", "detail"):
            row[part] = flipped(row[part])

    def forge(self, number):
        self.alter(number)
        self._row(number)["state"] = "active"
        forge_last_entry(self.proxy, self._row(number), generation=2)

    def trash(self, number):
        self._row(number)["state"] = "trash"

    def hide_keys(self, number):
        keys = self.proxy.vault()["keys"]
        self.hidden.append(keys.pop(number % len(keys)))

    def hide_item(self, number):
        row = self._row(number)
        del self.proxy.vault()["items"][row["id"]]

    def huge_numbers(self, number):
        """Replace all numbers, or those that state the length of the log, by a huge one."""
        value = (2_000_000, HUGE)[number % 2]

        def tamper(method, path, status, body):
            if path.endswith("/sync") and body is not None and status < 300:
                body = copy.deepcopy(body)
                if number % 4 < 2:
                    body["vault"]["revision"] = body["revision"] = body["through"] = value
                    return status, body
                for place in {*numbers_in(body)}:
                    body = replaced(body, place, value)
            return status, body

        self.proxy.server.tamper = tamper

    def odd_number(self, number):
        counter = itertools.count()

        def tamper(method, path, status, body):
            places = sorted({*numbers_in(body)}, key=str) if status < 300 else []
            if places and next(counter) == number % 7:
                place = places[number % len(places)]
                body = replaced(copy.deepcopy(body), place, (0, 1, HUGE)[number % 3])
            return status, body

        self.proxy.server.tamper = tamper

    def end(self):
        """Stop tampering, and show the hidden data again."""
        self.proxy.be_honest()
        self.proxy.vault()["keys"] += self.hidden
        self.proxy.vault()["keys"].sort(key=lambda key: key["generation"])

    def _row(self, number):
        rows = self.proxy.vault()["items"]
        return rows[sorted(rows)[number % len(rows)]]


KINDS = ("alter", "forge", "trash", "hide_keys", "hide_item", "huge_numbers", "odd_number")


def syncs(proxy):
    yield "sync"
    yield "list"


def writes(proxy):
    yield ("add", "login", "--json")
    yield ("edit", "Mail", "--json")


def accepts(proxy):
    yield ("sync", "--explain")
    yield ("sync", "--accept", "--yes")


def recovers(proxy):
    """Complete the recovery; it may fail."""
    try:
        with proxy.sdk("new") as new:
            token = proxy.server.recovery["token"]
            started = new.start_recovery(EMAIL, token, RecoveryKey.read(proxy.paper))
            new.complete_recovery(started, NEW)
    except VaultrError:
        pass
    yield from ()


COMMANDS = {"syncs": syncs, "writes": writes, "accepts": accepts, "recovers": recovers}


def check(proxy, scenario, attacks):
    """Run commands against the attacks, then compare the result with the original data."""
    proxy.restore()
    reported = Tamperings(proxy)
    for kind, number in attacks:
        getattr(reported, kind)(number)
    tracemalloc.start()
    try:
        for words in COMMANDS[scenario](proxy):
            words = (words,) if isinstance(words, str) else words
            result = proxy.types(*words, stdin=ITEM if "--json" in words else "")
            assert result.code in (0, 1, 4, 5), (words, result)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BYTES, peak
    reported.end()
    if proxy.server.account["account_key"]["epoch"] > 1:  # also after a lost response
        check_recovered(proxy)
        return
    assert held(proxy) >= KEPT, "the device lost its only copy"
    check_new_device(proxy)


def held(proxy):
    """Return every password that the first device can still show offline."""
    found = set()
    laptop = proxy.opened()
    for item in laptop.items(offline=True, state="any"):
        with contextlib.suppress(IntegrityError):
            found.add(laptop.item(str(item.id), offline=True).detail["password"])
    laptop.device.drop()
    return found


def check_recovered(proxy):
    """Check with the new password that all keys on the server open."""
    vault = proxy.vault()
    wraps = {each["generation"]: unb64(each["sealed_key"]) for each in vault["keys"]}
    new = proxy.sdk("new")
    try:
        new.login(EMAIL, NEW)
        keys = new.device.unlocked.account.keyring.open(UUID(vault["id"]), wraps)
    except IntegrityError as error:
        raise AssertionError("the recovery made keys unreadable") from error
    finally:
        new.device.drop()
    assert keys.keys() == {1, 2}


def check_new_device(proxy):
    """Check that a new device either rejects the server's data, or opens all of it."""
    tablet = proxy.sdk("tablet")
    try:
        tablet.login(EMAIL, PASSWORD, secret_key=proxy.secret_key)
        tablet.sync()
    except IntegrityError:
        return
    finally:
        tablet.device.drop()
    tablet = proxy.opened("tablet")
    for item in tablet.items(offline=True, state="any"):
        assert item.opens, "a new device accepted an altered item"
        tablet.item(str(item.id), offline=True)
    tablet.device.drop()


TAMPERINGS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 50)), min_size=1, max_size=2)


def explore(proxy, examples):
    """Try random attacks; raise the first violation."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(sorted(COMMANDS)), TAMPERINGS)
    def attempt(scenario, attacks):
        check(proxy, scenario, attacks)

    attempt()


@pytest.mark.parametrize(
    ("scenario", "attacks"),
    [
        ("accepts", [("forge", 0)]),
        ("accepts", [("alter", 1)]),
        ("syncs", [("huge_numbers", 0)]),
        ("recovers", [("hide_keys", 0)]),
    ],
)
def test_one_attack_of_each_kind_loses_nothing(tampering_proxy, scenario, attacks):
    check(tampering_proxy, scenario, attacks)


@pytest.mark.long
def test_random_attacks_lose_nothing_and_are_never_accepted(tampering_proxy):
    explore(tampering_proxy, 300)


def vouch_for_anything(patch):
    patch.setattr(unvouched, "check_mac", lambda signed, keys: None)
    patch.setattr(Unvouched, "altered", lambda self: [])


def build_a_list_of_numbers(patch):
    take = pages._take_entries

    def before(shown, page, start):
        expected = range(start + 1, shown.through + 1) if shown.since else range(0)
        assert list(expected) is not None
        take(shown, page, start)

    patch.setattr(pages, "_take_entries", before)


def trust_the_keys_that_come(patch):
    for module in (recovery, verify, pages):
        patch.setattr(module, "check_wraps", lambda wraps, generation, vault_id: None)


@pytest.mark.long
@pytest.mark.parametrize(
    ("undo", "violation"),
    [
        (vouch_for_anything, "lost its only copy|believed an altered item"),
        (build_a_list_of_numbers, "OverflowError|MemoryError|cannot fit|assert [0-9]+ < "),
        (trust_the_keys_that_come, "made keys unreadable"),
    ],
)
def test_model_finds_the_attack_when_its_defence_is_undone(
    tampering_proxy, monkeypatch, undo, violation
):
    undo(monkeypatch)

    with pytest.raises((AssertionError, MemoryError, OverflowError)) as found:
        explore(tampering_proxy, 300)

    assert re.search(violation, f"{type(found.value).__name__} {found.value}")
