"""The SDK with a server that forks a log, or rejects writes so that something is overwritten."""

import copy

import pytest

from tests.harness.client.server_attacks import titles
from tests.harness.client.world import mail
from vaultr.client.errors import ChainBroken, HeadMoved, IntegrityError
from vaultr.client.vaultr_client import EditConflict
from vaultr.protocol.encoding import b64, unb64


def test_fork_hidden_by_full_sync_is_not_dropped(world):
    world.laptop.add("login", *mail())
    phone = world.second()
    phone.sync()
    before = copy.deepcopy(world.server.vaults)
    world.laptop.add("login", *mail("Bank"))
    world.server.vaults = before
    phone.add("login", *mail("Cloud"))  # another branch, consistent in itself
    phone.add("login", *mail("Door"))
    requested = len(world.server.requests)

    with pytest.raises(ChainBroken, match="two histories"):
        world.laptop.sync()

    syncs = [path for _, path, _ in world.server.requests[requested:] if path.endswith("/sync")]
    assert len(syncs) == 1, "a device with a known head never starts a full sync by itself"
    assert titles(world.laptop) == ["Bank", "Mail"]


def test_head_moved_during_edit_of_same_field_is_a_conflict(world):
    world.laptop.add("login", *mail())
    phone = world.second()
    phone.sync()

    def overtake(method, path):
        if method == "PUT" and "/items/" in path:
            world.server.before = None
            phone.edit("Mail", detail={"password": "from the phone"})

    world.server.before = overtake
    with pytest.raises(EditConflict) as conflict:
        world.laptop.edit("Mail", detail={"password": "from the laptop"})

    assert conflict.value.fields == ["detail.password"]
    assert phone.item("Mail").detail == {"password": "from the phone"}


def test_endless_head_moved_responses_end_with_error(world):
    world.laptop.add("login", *mail())
    phone = world.second()
    phone.sync()
    rejected = {"type": "urn:vaultr:problem:head-moved", "status": 409, "revision": 9}
    stored = []

    def before(method, path):
        # Each write of the laptop is undone, and replaced by the phone's.
        if method == "PUT" and "/items/" in path and not stored:
            stored.append(copy.deepcopy(world.server.vaults))

    def tamper(method, path, status, body):
        if method != "PUT" or "/items/" not in path:
            return status, body
        world.server.vaults = stored.pop()
        world.server.before = world.server.tamper = None
        phone.edit("Mail", detail={"notes": str(len(world.server.requests))})
        world.server.before, world.server.tamper = before, tamper
        return 409, rejected

    world.server.before, world.server.tamper = before, tamper
    with pytest.raises((HeadMoved, EditConflict)):
        world.laptop.edit("Mail", detail={"password": "from the laptop"})
    world.server.before = world.server.tamper = None

    assert world.laptop.item("Mail").detail["password"] == "hunter2"


@pytest.mark.parametrize("part", ["overview", "detail"])
def test_every_changed_bit_of_a_stored_item_is_detected(world, part, count):
    item = world.laptop.add("login", *mail())
    (vault,) = world.server.vaults.values()
    honest = vault["items"][str(item.id)][part]
    bits = len(unb64(honest)) * 8
    for bit in range(0, bits, count(97, many=1)):
        data = bytearray(unb64(honest))
        data[bit // 8] ^= 1 << bit % 8
        vault["items"][str(item.id)][part] = b64(bytes(data))
        tablet = world.second_by_key(f"tablet{bit}")
        with pytest.raises(IntegrityError):
            tablet.sync()
