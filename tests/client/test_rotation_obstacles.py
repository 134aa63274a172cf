"""The SDK when a rotation meets items that do not open, or a server that lies about it."""

import contextlib
from uuid import uuid4

import pytest

from tests.client.rotated import check_all_is_there, vault_of
from vaultr.client.crypto.seal import seal
from vaultr.client.errors import (
    RotationIncomplete,
    SealBroken,
    StateMismatch,
)
from vaultr.client.log.appending import Change
from vaultr.client.vaults.rotating import CannotMove
from vaultr.protocol.encoding import b64


class Garbage:
    """A wish of a broken client: an item sealed under a key that nobody has."""

    def changes(self, ground, n):
        sealed = seal(bytes(32), b"nothing", b"{}")
        return [Change.put(uuid4(), "login", sealed, sealed)]


def test_an_item_that_does_not_open_is_named_and_the_others_move(filled):
    laptop = filled.laptop
    (vault,) = laptop._unlocked._reader.vaults()
    laptop._unlocked._writer.write(vault.id, [Garbage()])
    (vault,) = laptop._unlocked._reader.vaults()
    (broken,) = vault.state.items.keys() - vault_items(filled, vault)

    with pytest.raises(CannotMove, match=str(broken)):
        laptop.rotate()

    (vault,) = laptop._unlocked._reader.vaults()
    old = [each for each, held in vault.state.items.items() if held.generation == 1]
    assert broken in old
    assert len(old) == 2, "it, and what is in the trash"
    assert vault_of(filled)["rotating"]


def vault_items(world, vault):
    """Name the items that open."""
    opening = set()
    for item_id in vault.state.items:
        with contextlib.suppress(SealBroken):
            world.laptop._unlocked._reader.ground(vault).opened(item_id)
            opening.add(item_id)
    return opening


@pytest.mark.parametrize("lie", ["head", "generation", "keys", "id"])
def test_a_rotation_that_is_answered_otherwise_is_not_believed(filled, lie):
    lies = {
        "head": b64(bytes(32)),
        "generation": 1,
        "keys": [{"generation": 1, "sealed_key": b64(bytes(145))}],
        "id": "00000000-0000-4000-8000-000000000000",
    }

    def twist(method, path, status, body):
        if (method, path.endswith("/rotation")) == ("POST", True):
            return status, body | {lie: lies[lie]}
        return status, body

    filled.server.twist = twist
    with pytest.raises(StateMismatch):
        filled.laptop.rotate()


def test_a_rotation_that_is_never_complete_is_an_error_and_no_loop(filled):
    def twist(method, path, status, body):
        if path.endswith("/finish"):
            return 409, {"type": "urn:vaultr:problem:rotation-incomplete", "status": 409}
        return status, body

    filled.server.twist = twist
    with pytest.raises(RotationIncomplete):
        filled.laptop.rotate()
    filled.server.twist = None
    check_all_is_there(filled.laptop, generation=2)
