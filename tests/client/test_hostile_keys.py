"""The SDK with a server that manipulates generations of keys, logs and whole vaults."""

import copy
import uuid

import pytest

from tests.harness.client.server_attacks import answering, flipped, titles
from tests.harness.client.world import mail
from vaultr.client.crypto.keys import VaultKeys, open_wraps
from vaultr.client.errors import (
    IntegrityError,
    RolledBack,
    SealBroken,
    StateMismatch,
)
from vaultr.client.log.entries import SignedEntry
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.entries import Entry, Op

WRAPS = ["second equals first", "second missing", "random bytes", "flipped bit"]


@pytest.fixture
def rotated(world):
    """An owner whose vault has its second keys; the phone has synced so far."""
    world.laptop.add("login", *mail())
    world.laptop.add("login", *mail("Bank"))
    world.laptop.rotate()
    world.phone = world.second()
    world.phone.sync()
    (world.vault,) = world.server.vaults.values()
    (held,) = world.laptop.device.unlocked.reader.vaults()
    world.keys = world.laptop.device.unlocked.reader.keys(held)
    return world


def forged(world, *, generation, signed_by):
    """Sign the next entry with keys that an attacker kept from an old generation."""
    vault, lk = world.vault, world.keys[signed_by].lk
    last = vault["entries"][-1]
    entry = Entry(
        vault_id=uuid.UUID(vault["id"]),
        n=vault["revision"] + 1,
        prev=unb64(vault["head"]),
        op=Op.REPAIR,
        item_id=None,
        content_revision=0,
        content=bytes(32),
        generation=generation,
        author_id=uuid.UUID(last["author_id"]),
        vouch=unb64(last["vouch"]),
    )
    return SignedEntry.make(lk, entry)


@pytest.mark.parametrize("generation", [1, 2])
def test_entry_signed_with_old_key_is_rejected(rotated, generation):
    signed = forged(rotated, generation=generation, signed_by=1)
    rotated.vault["entries"].append(
        signed.to_json()
        | {
            "op": "repair",
            "item_id": None,
            "content_revision": 0,
            "content": b64(bytes(32)),
            "generation": generation,
            "author_id": str(signed.entry.author_id),
            "head": b64(signed.head),
        }
    )
    rotated.vault |= {"revision": signed.entry.n, "head": b64(signed.head)}

    for device in (rotated.phone, rotated.laptop, rotated.second("tablet")):
        with pytest.raises(IntegrityError):
            device.sync()

    assert titles(rotated.phone) == ["Bank", "Mail"]


def test_item_sealed_under_old_generation_is_detected(rotated):
    def change(page):
        for item in page["items"]:
            item["generation"] = 1
        return page

    rotated.laptop.edit("Mail", detail={"password": "new"})
    answering(rotated, "GET", "/sync", change)
    with pytest.raises(IntegrityError):
        rotated.phone.sync()
    with pytest.raises(IntegrityError):
        rotated.second("tablet").sync()


@pytest.mark.parametrize("attack", WRAPS)
def test_replaced_wraps_of_rotation_are_detected(rotated, attack):
    def change(page):
        first, second = (dict(each) for each in page["vault"]["keys"])
        match attack:
            case "second equals first":
                second["sealed_key"] = first["sealed_key"]
            case "second missing":
                second = None
            case "random bytes":
                second["sealed_key"] = b64(bytes(145))
            case "flipped bit":
                second["sealed_key"] = flipped(second["sealed_key"])
        page["vault"]["keys"] = [each for each in (first, second) if each]
        return page

    answering(rotated, "GET", "/sync", change)
    with pytest.raises((SealBroken, StateMismatch)):
        rotated.second("tablet").sync()


def test_same_key_in_two_generations_is_rejected():
    account, vault, wrap = uuid.uuid4(), uuid.uuid4(), bytes(range(32))
    old, new = VaultKeys.new(), VaultKeys.new()

    for again in (VaultKeys(old.vk, new.lk), VaultKeys(new.vk, old.lk), old):
        wraps = {1: old.wrap(wrap, account, vault, 1), 2: again.wrap(wrap, account, vault, 2)}
        with pytest.raises(StateMismatch, match="an old key"):
            open_wraps(wrap, account, vault, wraps)


def test_hidden_rotation_is_a_rollback(rotated):
    before = copy.deepcopy(rotated.server.vaults)
    rotated.laptop.rotate()
    rotated.laptop.close()
    rotated.server.vaults = before

    with pytest.raises(RolledBack):
        rotated.phone.sync()


def test_rotation_falsely_reported_as_finished_is_completed_later(rotated):
    def tamper(method, path, status, body):
        if path.endswith("/rotation") and method == "GET":
            return 200, {
                "rotating": False,
                "generation": 2,
                "left": {"items": 0, "overview": False},
            }
        return status, body

    rotated.server.tamper = tamper
    rotated.laptop.rotate()

    assert {item["generation"] for item in rotated.vault["items"].values()} == {3}
    rotated.server.tamper = None
    assert rotated.vault["rotating"]
    assert rotated.laptop.rotate()[0].generation == 4, "the hidden rotation is complete"
    assert not rotated.vault["rotating"]


@pytest.fixture
def two(world):
    """An owner with an item in each of two vaults."""
    world.laptop.add("login", *mail())
    world.laptop.create_vault("Work")
    world.laptop.add("login", *mail("Ship"), vault="Work")
    world.laptop.close()
    world.laptop = world.device("laptop")
    world.laptop.device.unlocked = world.kept.on(world.laptop)
    return world


def test_one_hidden_vault_of_two_is_an_error(two):
    hidden = two.server.vaults.pop(list(two.server.vaults)[1])

    with pytest.raises(RolledBack, match=hidden["id"]):
        two.laptop.sync()
    with pytest.raises(RolledBack, match=hidden["id"]):
        two.second().sync()

    assert titles(two.laptop) == ["Mail", "Ship"]


def test_vault_replaced_by_another_is_an_error(two):
    one, other = two.server.vaults
    vaults = two.server.vaults
    mixed = copy.deepcopy(vaults[other]) | {"id": one}
    two.server.vaults = {one: mixed, other: vaults[other]}

    with pytest.raises(IntegrityError):
        two.laptop.sync()
    with pytest.raises(IntegrityError):
        two.second().sync()

    assert titles(two.laptop) == ["Mail", "Ship"]


def test_entry_with_mac_of_another_vault_is_rejected(two):
    phone = two.second()
    phone.sync()
    one, other = two.server.vaults.values()
    two.laptop.edit("Mail", detail={"password": "new"})

    def change(page):
        for entry in page["entries"]:
            entry["mac"] = other["entries"][-1]["mac"]
        return page

    answering(two, "GET", f"/vaults/{one['id']}/sync", change)
    with pytest.raises(IntegrityError):
        phone.sync()


def test_items_swapped_between_vaults_are_detected(two):
    one, other = two.server.vaults.values()
    (mine,), (theirs,) = one["items"].values(), other["items"].values()
    sealed = ("overview", "detail", "type", "generation", "content_revision")
    swapped = {name: theirs[name] for name in sealed}, {name: mine[name] for name in sealed}
    mine.update(swapped[0])
    theirs.update(swapped[1])

    with pytest.raises(IntegrityError):
        two.second().sync()


def test_dropped_rotation_is_detected(world):
    world.laptop.add("login", *mail())
    (vault,) = world.server.vaults.values()
    before = copy.deepcopy(vault)
    world.laptop.rotate()
    world.server.vaults[vault["id"]] = before

    with pytest.raises(RolledBack):
        world.laptop.sync()
