"""The SDK with a malicious server in syncs: nothing is skipped, nothing unverified is stored."""

import copy

import pytest

from tests.harness.client.server_attacks import answering, titles
from tests.harness.client.world import mail
from vaultr.client.errors import AnswerInvalid, ChainBroken, RolledBack, StateMismatch
from vaultr.protocol.encoding import b64


def answering_syncs(world, status, body=None):
    """Respond to each sync with ``status`` and ``body``."""

    def tamper(method, path, was, args):
        return (status, body) if method == "GET" and path.endswith("/sync") else (was, args)

    world.server.tamper = tamper


def not_found(slug):
    return {"type": f"urn:vaultr:problem:{slug}", "status": 404}


def test_unchanged_response_is_rejected_if_profile_is_newer(world):
    world.laptop.add("login", *mail())
    laptop = world.again()
    with world.second() as phone:
        phone.add("login", *mail("Bank"))
    answering_syncs(world, 304)

    with pytest.raises(AnswerInvalid):
        laptop.sync()

    assert titles(laptop) == ["Mail"]


@pytest.mark.parametrize("status", [202, 204])
def test_missing_response_does_not_count_as_unchanged(world, status):
    world.laptop.add("login", *mail())
    answering_syncs(world, status)

    with pytest.raises(AnswerInvalid):
        world.laptop.sync()


def forked(world):
    """Roll the vault back before the phone's change in the profile, and write over it."""
    world.laptop.add("login", *mail())
    laptop = world.again()
    before = copy.deepcopy(world.server.vaults)
    with world.second() as phone:
        phone.add("login", *mail("Bank"))
    world.server.vaults = before
    laptop.add("login", *mail("Cloud"))
    laptop.add("login", *mail("Door"))
    return laptop


def test_new_device_stores_nothing_outside_profile_history(world):
    forked(world)
    tablet = world.second("tablet")

    with pytest.raises(ChainBroken):
        tablet.sync()

    assert tablet.items(offline=True) == []


@pytest.mark.parametrize("slug", ["vault-not-found", "not-found"])
def test_missing_profile_vault_in_sync_is_a_rollback(world, slug):
    world.laptop.add("login", *mail())
    world.laptop.close()
    answering_syncs(world, 404, not_found(slug))
    phone = world.second()

    with pytest.raises(RolledBack):
        phone.sync()


def test_sync_rolling_back_between_pages_is_error(world):
    for title in "abc":
        world.laptop.add("login", *mail(title))
    world.server.page = 1
    world.laptop.close()
    phone = world.second()
    before = copy.deepcopy(world.server.vaults)
    (vault,) = before.values()

    def change(page):
        world.server.vaults = {vault["id"]: vault | {"revision": 0, "items": {}}}
        return page

    answering(world, "GET", "/sync", change)
    with pytest.raises(RolledBack):
        phone.sync()


def test_unchanged_response_contradicting_vault_list_is_a_rollback(world):
    world.laptop.add("login", *mail())
    world.second().add("login", *mail("Bank"))  # and the profile does not contain it yet
    answering_syncs(world, 304)

    with pytest.raises(RolledBack, match=r"list of vaults shows revision 2 \([0-9a-f]{12}\)"):
        world.laptop.sync()


@pytest.mark.parametrize(
    ("attack", "error"),
    [
        ({"head": b64(bytes(32))}, ChainBroken),
        ({"generation": 2}, StateMismatch),
        ({"overview": b64(bytes(145))}, StateMismatch),
        ({"overview_revision": 1}, StateMismatch),
        ({"keys": [{"generation": 2, "sealed_key": b64(bytes(145))}]}, StateMismatch),
        ({"keys": [{"generation": 1, "sealed_key": b64(bytes(n))} for n in (1, 2)]}, StateMismatch),
    ],
)
def test_list_contradicting_the_log_is_error(world, attack, error):
    world.laptop.add("login", *mail())
    world.second().add("login", *mail("Bank"))  # and the profile does not contain it yet
    answering(
        world, "GET", "/vaults", lambda body: {**body, "vaults": [body["vaults"][0] | attack]}
    )

    with pytest.raises(error):
        world.laptop.sync()
