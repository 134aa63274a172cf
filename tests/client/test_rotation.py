"""The SDK with an honest server in memory: key rotation, with all kinds of interruptions."""

import json

import pytest

from tests.harness.client.kill_points import killed, killed_at, requests_of
from tests.harness.client.rotation_cases import TITLES, check_all_items_exist, rewound, vault_of
from tests.harness.client.world import mail
from vaultr.client.errors import (
    StepUpRequired,
)
from vaultr.client.items.schemas import Draft


def test_rotation_reseals_active_items_but_not_trash(filled):
    reported = []

    (rotated,) = filled.laptop.rotate(progress=lambda *far: reported.append(far))

    assert (rotated.generation, rotated.moved, rotated.resumed) == (2, 3, False)
    assert reported[-1] == (3, 3)
    vault = vault_of(filled)
    assert not vault["rotating"]
    assert sorted(each["generation"] for each in vault["items"].values()) == [1, 2, 2, 2]
    check_all_items_exist(filled.laptop, generation=2)
    check_all_items_exist(filled.second(), generation=2)


def test_restored_item_uses_new_keys(filled):
    filled.laptop.rotate()

    filled.laptop.restore("Door")

    assert [each["generation"] for each in vault_of(filled)["items"].values()] == [2, 2, 2, 2]
    assert filled.second().item("Door").detail == {"password": "secret of Door"}


def test_rotation_without_step_up_changes_nothing(filled):
    filled.server.step_up = False
    before = vault_of(filled)["revision"]

    with pytest.raises(StepUpRequired):
        filled.laptop.rotate()

    assert vault_of(filled)["revision"] == before
    filled.server.step_up = True
    filled.laptop.rotate()
    sent = [json.loads(body)["sealed_key"] for body in filled.sent("POST", "/rotation")]
    assert len(sent) == 2, "the stored wraps are sent again"
    assert sent[0] == sent[1]


def test_killed_rotation_continues_on_any_device(first_world, tmp_path, filled):
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
            check_all_items_exist(device, generation=generation)
            check_all_items_exist(rewound(one).laptop, generation=generation)


def test_interrupted_rotation_continues_and_does_not_restart(filled):
    killed_at(filled, lambda world: world.laptop.rotate(), "POST", "/changes")
    assert vault_of(filled)["rotating"]

    (rotated,) = rewound(filled).second().rotate()

    assert rotated.resumed
    assert rotated.generation == 2
    assert rewound(filled).laptop.rotate(restart=True)[0].generation == 3


def test_concurrent_edits_survive_under_new_keys(filled):
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


def test_write_under_old_keys_is_resealed(filled):
    phone = filled.second()
    phone.sync()
    filled.laptop.rotate()

    phone.edit("Bank", detail={"password": "newest"})
    phone.rename_vault("Personal", "Mine")
    phone.add_many([Draft("login", *mail("One")), Draft("login", *mail("Two"))])

    assert filled.laptop.item("Bank").detail == {"password": "newest"}
    assert [vault.name for vault in filled.laptop.vaults()] == ["Mine"]
    assert len(filled.laptop.items()) == 5


def test_two_devices_starting_together_share_one_rotation(filled):
    phone = filled.second()

    def overtake(method, path):
        if path.endswith("/rotation") and method == "POST":
            filled.server.before = None
            phone.rotate()

    filled.server.before = overtake
    filled.laptop.rotate()

    assert vault_of(filled)["generation"] == 2
    assert len(vault_of(filled)["keys"]) == 2
    check_all_items_exist(filled.laptop, generation=2)


def test_due_keys_are_replaced_even_during_rotation(filled):
    killed_at(filled, lambda world: world.laptop.rotate(), "POST", "/changes")
    laptop = rewound(filled).laptop
    laptop.sync()
    account = laptop.device.unlocked.account
    (vault,) = laptop.device.unlocked.reader.vaults()
    due = account.profile.with_keys_due({vault.id: vault.state.generation})
    account.write_profile(due, lambda: None)

    phone = filled.second()
    assert any("vaultr rotate" in notice for notice in noticed(phone))
    (rotated,) = phone.rotate()

    assert (rotated.generation, rotated.resumed) == (3, False)
    check_all_items_exist(phone, generation=3)
    assert noticed(phone) == []


def test_interrupted_rotation_rotates_each_vault_once(world):
    for name in ("Home", "Work"):
        world.laptop.create_vault(name)
        world.laptop.add("login", *mail(f"Key of {name}"), vault=name)
    killed_at(world, lambda world: world.laptop.rotate(), "POST", "/rotation/finish")
    generations = [vault["generation"] for vault in world.server.vaults.values()]
    assert 1 in generations
    assert 2 in generations

    rotated = rewound(world).second().rotate()

    assert len(rotated) == 2
    assert [vault["generation"] for vault in world.server.vaults.values()] == [2, 2, 2]
    assert not any(vault["rotating"] for vault in world.server.vaults.values())
    laptop = rewound(world).laptop
    assert noticed(laptop) == []
    assert len(laptop.rotate()) == 3


def test_due_rotations_survive_concurrent_profile_writes(filled):
    phone = filled.second()
    phone.sync()

    def overtake(method, path):
        if (method, path) == ("PUT", "/auth/profile"):
            filled.server.before = None
            phone.add("login", *mail("Later"))
            phone.close()

    filled.laptop.sync()
    (vault,) = filled.laptop.device.unlocked.reader.vaults()
    filled.server.before = overtake
    filled.laptop.device.unlocked.vaults.note_keys_due({vault.id: 1})

    profile = filled.laptop.device.unlocked.account.profile
    assert profile.keys_due(vault.id, 1)
    assert profile.head_of(vault.id).n == vault_of(filled)["revision"]


def noticed(device):
    device.notices.clear()
    device.sync()
    return device.notices
