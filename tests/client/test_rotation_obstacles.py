"""The SDK when a rotation meets items that do not open, or a malicious server."""

import contextlib
from uuid import uuid4

import pytest

from tests.harness.client.rotation_cases import check_all_items_exist, vault_of
from vaultr.client.crypto.seal import seal
from vaultr.client.errors import (
    RotationIncomplete,
    SealBroken,
    StateMismatch,
)
from vaultr.client.log.append import Change
from vaultr.client.vaults.key_rotation import CannotMove
from vaultr.protocol.encoding import b64


class Garbage:
    """A change by a broken client: an item sealed under a random key."""

    def changes(self, ground, n):
        sealed = seal(bytes(32), b"nothing", b"{}")
        return [Change.put(uuid4(), "login", sealed, sealed)]


def test_unopenable_item_is_reported_and_others_are_resealed(filled):
    laptop = filled.laptop
    (vault,) = laptop.device.unlocked.reader.vaults()
    laptop.device.unlocked.writer.write(vault.id, [Garbage()])
    (vault,) = laptop.device.unlocked.reader.vaults()
    (broken,) = vault.state.items.keys() - vault_items(filled, vault)

    with pytest.raises(CannotMove, match=str(broken)):
        laptop.rotate()

    (vault,) = laptop.device.unlocked.reader.vaults()
    old = [each for each, held in vault.state.items.items() if held.generation == 1]
    assert broken in old
    assert len(old) == 2, "the item, and the trashed one"
    assert vault_of(filled)["rotating"]


def vault_items(world, vault):
    """Return the titles of the items that open."""
    opening = set()
    for item_id in vault.state.items:
        with contextlib.suppress(SealBroken):
            world.laptop.device.unlocked.reader.open_vault(vault).opened(item_id)
            opening.add(item_id)
    return opening


@pytest.mark.parametrize("attack", ["head", "generation", "keys", "id"])
def test_rotation_with_wrong_response_is_rejected(filled, attack):
    attacks = {
        "head": b64(bytes(32)),
        "generation": 1,
        "keys": [{"generation": 1, "sealed_key": b64(bytes(145))}],
        "id": "00000000-0000-4000-8000-000000000000",
    }

    def tamper(method, path, status, body):
        if (method, path.endswith("/rotation")) == ("POST", True):
            return status, body | {attack: attacks[attack]}
        return status, body

    filled.server.tamper = tamper
    with pytest.raises(StateMismatch):
        filled.laptop.rotate()


def say_running(world, vault_id):
    """Make the server claim that a vault's keys are being replaced, until the rotation is ended."""
    finished = []

    def tamper(method, path, status, body):
        if (method, path) == ("GET", f"/vaults/{vault_id}/rotation"):
            return status, body | {"rotating": not finished}
        if path == f"/vaults/{vault_id}/rotation/finish":
            finished.append(path)
        return status, body

    world.server.vaults[vault_id]["rotating"] = True
    world.server.tamper = tamper


@pytest.mark.parametrize("named", [["Personal"], []], ids=["one", "all"])
def test_keys_are_replaced_despite_false_rotating_flag(filled, named):
    filled.laptop.create_vault("Work")
    say_running(filled, vault_of_name(filled, "Personal"))

    rotated = filled.laptop.rotate(*named)

    assert {each.name: each.generation for each in rotated} == (
        {"Personal": 2} if named else {"Personal": 2, "Work": 2}
    )
    assert not any(each.resumed for each in rotated)


def vault_of_name(world, name):
    return next(str(each.id) for each in world.laptop.vaults() if each.name == name)


def test_finished_vault_is_not_rotated_again_with_due_ones(filled):
    filled.laptop.create_vault("Work")
    moved = filled.server.vaults[vault_of_name(filled, "Personal")]
    filled.laptop.rotate("Personal")
    moved["rotating"] = True  # the state after a device was killed before it ended the rotation
    (work,) = [each for each in filled.laptop.vaults() if each.name == "Work"]
    filled.laptop.device.unlocked.vaults.note_keys_due({work.id: 1})

    rotated = filled.laptop.rotate()

    assert [each.name for each in rotated] == ["Work"]
    assert (moved["generation"], moved["rotating"]) == (2, False)


def test_rotation_that_never_completes_ends_with_error(filled):
    def tamper(method, path, status, body):
        if path.endswith("/finish"):
            return 409, {"type": "urn:vaultr:problem:rotation-incomplete", "status": 409}
        return status, body

    filled.server.tamper = tamper
    with pytest.raises(RotationIncomplete):
        filled.laptop.rotate()
    filled.server.tamper = None
    check_all_items_exist(filled.laptop, generation=2)
