"""The SDK with an honest server in memory: new keys for a vault, whatever happens on the way."""

import contextlib
import json
from uuid import uuid4

import pytest

from tests.client.kills import killed, requests_of
from tests.client.world import mail
from vaultr.client.errors import (
    RotationIncomplete,
    SealBroken,
    StateMismatch,
    StepUpRequired,
)
from vaultr.client.items import Draft
from vaultr.client.rotating import CannotMove
from vaultr.client.seal import seal
from vaultr.client.write import Change
from vaultr.protocol.encoding import b64

TITLES = ["Bank", "Cloud", "Door", "Mail"]


@pytest.fixture
def filled(world):
    """An owner with some items, one of which was edited, one trashed."""
    for title in TITLES:
        world.laptop.add("login", *mail(title, f"secret of {title}"))
    world.laptop.edit("Mail", detail={"password": "new"})
    world.laptop.trash("Door")
    world.laptop.close()
    return rewound(world)


def rewound(world):
    world.laptop = world.device("laptop")
    world.laptop._desk = world.kept.on(world.laptop)
    return world


def vault_of(world):
    (vault,) = world.server.vaults.values()
    return vault


def check_all_is_there(device, *, generation):
    """Every item opens, none is lost, none is there twice, all are under the newest keys."""
    items = device.items(state="any")
    assert sorted(item.title for item in items) == TITLES
    for item in items:
        password = "new" if item.title == "Mail" else f"secret of {item.title}"
        assert device.item(str(item.id)).detail == {"password": password}
    (vault,) = device._desk._reader.vaults()
    assert vault.state.generation == generation
    assert {h.generation for h in vault.state.items.values() if h.state == "active"} == {generation}
    assert device.vaults()[0].name == "Personal"


def test_everything_active_moves_to_the_new_keys_and_the_trash_stays(filled):
    told = []

    (rotated,) = filled.laptop.rotate(progress=lambda *far: told.append(far))

    assert (rotated.generation, rotated.moved, rotated.resumed) == (2, 3, False)
    assert told[-1] == (3, 3)
    vault = vault_of(filled)
    assert not vault["rotating"]
    assert sorted(each["generation"] for each in vault["items"].values()) == [1, 2, 2, 2]
    check_all_is_there(filled.laptop, generation=2)
    check_all_is_there(filled.second(), generation=2)


def test_what_comes_back_from_the_trash_comes_under_the_new_keys(filled):
    filled.laptop.rotate()

    filled.laptop.restore("Door")

    assert [each["generation"] for each in vault_of(filled)["items"].values()] == [2, 2, 2, 2]
    assert filled.second().item("Door").detail == {"password": "secret of Door"}


def test_without_a_fresh_proof_of_the_password_nothing_is_changed(filled):
    filled.server.step_up = False
    before = vault_of(filled)["revision"]

    with pytest.raises(StepUpRequired):
        filled.laptop.rotate()

    assert vault_of(filled)["revision"] == before
    filled.server.step_up = True
    filled.laptop.rotate()
    sent = [json.loads(body)["sealed_key"] for body in filled.sent("POST", "/rotation")]
    assert len(sent) == 2, "and the wraps that were kept are sent again"
    assert sent[0] == sent[1]


def test_a_rotation_killed_anywhere_goes_on_on_any_device(first_world, tmp_path, filled):
    steps = requests_of(filled, lambda world: world.laptop.rotate())
    assert steps > 6
    for number in range(1, steps + 1):
        for done in (False, True):
            one = first_world.copied(tmp_path / f"{number}-{done}")
            for title in TITLES:
                one.laptop.add("login", *mail(title, f"secret of {title}"))
            one.laptop.edit("Mail", detail={"password": "new"})
            one.laptop.trash("Door")
            one.laptop.close()
            one = rewound(one)

            killed(one, lambda world: world.laptop.rotate(), number, done=done)

            device = rewound(one).laptop if number % 2 else rewound(one).second_by_key()
            generation = device.rotate()[0].generation
            assert generation in (2, 3)
            assert not vault_of(one)["rotating"]
            check_all_is_there(device, generation=generation)
            check_all_is_there(rewound(one).laptop, generation=generation)


def test_a_rotation_is_gone_on_with_and_not_begun_again(filled):
    killed(filled, lambda world: world.laptop.rotate(), 6, done=True)
    assert vault_of(filled)["rotating"]

    (rotated,) = rewound(filled).second().rotate()

    assert rotated.resumed
    assert rotated.generation == 2
    assert rewound(filled).laptop.rotate(anew=True)[0].generation == 3


def test_edits_of_other_devices_meanwhile_are_kept_under_the_new_keys(filled):
    phone = filled.second()
    phone.sync()
    turns = []

    def between(method, path):
        if path.endswith("/changes") and not turns:
            turns.append(path)
            filled.server.before = None
            phone.edit("Bank", detail={"password": "edited meanwhile"})
            phone.trash("Cloud")
            phone.add("login", *mail("Later"))

    filled.server.before = between
    filled.laptop.rotate()

    laptop = rewound(filled).laptop
    assert laptop.item("Bank").detail == {"password": "edited meanwhile"}
    assert sorted(item.title for item in laptop.items()) == ["Bank", "Later", "Mail"]
    active = [e for e in vault_of(filled)["items"].values() if e["state"] == "active"]
    assert {each["generation"] for each in active} == {2}


def test_a_write_under_the_old_keys_is_sealed_again_under_the_new_ones(filled):
    phone = filled.second()
    phone.sync()
    filled.laptop.rotate()

    phone.edit("Bank", detail={"password": "newest"})
    phone.rename_vault("Personal", "Mine")
    phone.add_many([Draft("login", *mail("One")), Draft("login", *mail("Two"))])

    assert filled.laptop.item("Bank").detail == {"password": "newest"}
    assert [vault.name for vault in filled.laptop.vaults()] == ["Mine"]
    assert len(filled.laptop.items()) == 5


def test_two_devices_that_begin_at_once_share_one_rotation(filled):
    phone = filled.second()

    def overtake(method, path):
        if path.endswith("/rotation") and method == "POST":
            filled.server.before = None
            phone.rotate()

    filled.server.before = overtake
    filled.laptop.rotate()

    assert vault_of(filled)["generation"] == 2
    assert len(vault_of(filled)["keys"]) == 2
    check_all_is_there(filled.laptop, generation=2)


def test_keys_that_a_new_account_key_makes_due_are_replaced_even_while_a_rotation_runs(filled):
    killed(filled, lambda world: world.laptop.rotate(), 6, done=True)
    laptop = rewound(filled).laptop
    laptop.sync()
    account = laptop._desk.account
    (vault,) = laptop._desk._reader.vaults()
    due = account.profile.with_keys_due({vault.id: vault.state.generation})
    account.write_profile(due, lambda: None)

    phone = filled.second()
    assert any("vaultr rotate" in notice for notice in noticed(phone))
    (rotated,) = phone.rotate()

    assert (rotated.generation, rotated.resumed) == (3, False)
    check_all_is_there(phone, generation=3)
    assert noticed(phone) == []


def noticed(device):
    device.notices.clear()
    device.sync()
    return device.notices


class Garbage:
    """A wish of a broken client: an item sealed under a key that nobody has."""

    def changes(self, ground, n):
        sealed = seal(bytes(32), b"nothing", b"{}")
        return [Change.put(uuid4(), "login", sealed, sealed)]


def test_an_item_that_does_not_open_is_named_and_the_others_move(filled):
    laptop = filled.laptop
    (vault,) = laptop._desk._reader.vaults()
    laptop._desk._writer.write(vault.id, [Garbage()])
    (vault,) = laptop._desk._reader.vaults()
    (broken,) = vault.state.items.keys() - vault_items(filled, vault)

    with pytest.raises(CannotMove, match=str(broken)):
        laptop.rotate()

    (vault,) = laptop._desk._reader.vaults()
    old = [each for each, held in vault.state.items.items() if held.generation == 1]
    assert broken in old
    assert len(old) == 2, "it, and what is in the trash"
    assert vault_of(filled)["rotating"]


def vault_items(world, vault):
    """Name the items that open."""
    opening = set()
    for item_id in vault.state.items:
        with contextlib.suppress(SealBroken):
            world.laptop._desk._reader.ground(vault).opened(item_id)
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
