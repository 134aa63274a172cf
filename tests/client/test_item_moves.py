"""The SDK with an honest server in memory: move and copy items between vaults."""

import pytest

from tests.harness.client.kill_points import KillAt, Killed, killed, killed_at, requests_of
from tests.harness.client.world import mail
from vaultr.client.errors import (
    ItemNotFound,
    QuotaExceeded,
    Refused,
    VaultNotFound,
)
from vaultr.client.items.move import InBoth


@pytest.fixture
def two(world):
    """An owner with items in one of two vaults."""
    world.laptop.create_vault("Work")
    for title in ("Mail", "Bank", "Door"):
        world.laptop.add("login", *mail(title, f"secret of {title}"), vault="Personal")
    return world


def where(device):
    """Return which titles are active in which vault."""
    names = {vault.id: vault.name for vault in device.vaults()}
    found = {name: [] for name in names.values()}
    for item in device.items():
        found[names[item.vault_id]].append(item.title)
    return {name: sorted(titles) for name, titles in found.items()}


def rewound(world):
    world.laptop.device.drop()
    world.laptop = world.device("laptop")
    world.laptop.device.unlocked = world.kept.on(world.laptop)
    return world


def test_moved_items_leave_versions_in_the_trash(two):
    two.laptop.edit("Mail", detail={"password": "newer"})

    moved = two.laptop.move("Mail", "Bank", to="Work")

    assert [item.title for item in moved] == ["Mail", "Bank"]
    assert where(two.laptop) == {"Personal": ["Door"], "Work": ["Bank", "Mail"]}
    assert where(two.second()) == {"Personal": ["Door"], "Work": ["Bank", "Mail"]}
    assert two.laptop.item("Mail").detail == {"password": "newer"}
    assert len(two.laptop.history("Mail", vault="Personal")) == 2


def test_copy_leaves_the_original_in_place(two):
    two.laptop.copy("Mail", to="Work")

    assert where(two.laptop) == {"Personal": ["Bank", "Door", "Mail"], "Work": ["Mail"]}
    ids = {item.id for item in two.laptop.items() if item.title == "Mail"}
    assert len(ids) == 2


def test_item_moves_back_and_forth_any_number_of_times(two):
    for to in ("Work", "Personal") * 3:
        two.laptop.move("Mail", to=to)

    assert where(two.laptop) == {"Personal": ["Bank", "Door", "Mail"], "Work": []}
    assert two.laptop.item("Mail").detail == {"password": "secret of Mail"}


def test_item_removed_at_target_can_be_moved_again(two):
    two.laptop.move("Mail", to="Work")
    two.laptop.remove("Mail", vault="Work")
    two.laptop.restore("Mail", vault="Personal")

    two.laptop.move("Mail", to="Work")

    assert where(two.laptop) == {"Personal": ["Bank", "Door"], "Work": ["Mail"]}


def test_move_killed_anywhere_resumes_and_loses_nothing(first_world, tmp_path, two):
    def act(world):
        world.laptop.move("Mail", "Bank", to="Work")

    steps = requests_of(two, act)
    for number in range(1, steps + 1):
        for done in (False, True):
            one = first_world.copied(tmp_path / f"{number}-{done}")
            one.laptop.create_vault("Work")
            for title in ("Mail", "Bank", "Door"):
                one.laptop.add("login", *mail(title, f"secret of {title}"), vault="Personal")
            one = rewound(one)
            killed(one, act, number, done=done)

            device = rewound(one).laptop if number % 2 else rewound(one).second_by_key()
            found = where(device)
            assert {*found["Personal"], *found["Work"]} == {"Mail", "Bank", "Door"}
            left = [title for title in ("Mail", "Bank") if title in found["Personal"]]
            if left:
                device.move(*left, to="Work")
            assert where(device) == {"Personal": ["Door"], "Work": ["Bank", "Mail"]}
            assert len(device.items()) == 3, "no item is duplicated"


def test_interrupted_move_is_reported_until_resumed(two):
    with KillAt(two.server) as counting:
        counting._number = None
        rewound(two).laptop.sync()

    def kill(method, path):
        if method == "POST" and path.endswith("/trash"):
            raise Killed

    two.server.before = kill
    with pytest.raises(Killed):
        two.laptop.move("Mail", to="Work")
    two.server.before = None
    laptop = rewound(two).laptop

    assert where(laptop) == {"Personal": ["Bank", "Door", "Mail"], "Work": ["Mail"]}
    assert any("--resume" in notice for notice in laptop.notices)
    laptop.resume_move()

    assert where(laptop) == {"Personal": ["Bank", "Door"], "Work": ["Mail"]}
    assert laptop.resume_move() == []
    laptop.notices.clear()
    laptop.sync()
    assert laptop.notices == []


def test_resumed_move_copies_item_again_after_trash(two):
    killed_at(two, lambda world: world.laptop.move("Mail", to="Work"), "PUT", "")
    two.second_by_key().trash("Mail", vault="Work")
    laptop = rewound(two).laptop
    begun = len(two.server.requests)

    def count(method, path):
        if len(two.server.requests) - begun > 100:
            pytest.fail("the same is asked for on and on")

    two.server.before = count
    laptop.resume_move()

    assert where(laptop) == {"Personal": ["Bank", "Door"], "Work": ["Mail"]}
    assert laptop.resume_move() == []


def test_edit_during_move_is_preserved(two):
    phone = two.second()
    phone.sync()

    def overtake(method, path):
        if method == "POST" and path.endswith("/trash"):
            two.server.before = None
            phone.edit("Mail", vault="Personal", detail={"password": "edited meanwhile"})

    two.server.before = overtake
    two.laptop.move("Mail", to="Work")

    assert where(two.laptop) == {"Personal": ["Bank", "Door"], "Work": ["Mail"]}
    assert two.laptop.item("Mail").detail == {"password": "edited meanwhile"}


def test_constantly_edited_item_stays_in_both_vaults_with_error(two):
    phone = two.second()
    phone.sync()
    edits = iter(range(1000))

    def overtake(method, path):
        if method == "POST" and path.endswith("/trash"):
            before, two.server.before = two.server.before, None
            phone.edit("Mail", vault="Personal", detail={"password": str(next(edits))})
            two.server.before = before

    two.server.before = overtake
    with pytest.raises(InBoth):
        two.laptop.move("Mail", to="Work")
    two.server.before = None

    assert where(two.laptop)["Personal"] == ["Bank", "Door", "Mail"]
    two.laptop.resume_move()
    assert where(two.laptop) == {"Personal": ["Bank", "Door"], "Work": ["Mail"]}
    assert two.laptop.item("Mail").detail == {"password": "5"}


def test_two_devices_moving_one_item_move_it_once(two):
    phone = two.second()
    phone.sync()

    def overtake(method, path):
        if method == "PUT" and "/items/" in path:
            two.server.before = None
            phone.move("Mail", to="Work")

    two.server.before = overtake
    two.laptop.move("Mail", to="Work")

    assert where(two.laptop) == {"Personal": ["Bank", "Door"], "Work": ["Mail"]}


def test_move_into_full_vault_fails_before_any_removal(two):
    def full(method, path, status, body):
        if method == "PUT" and "/items/" in path:
            return 409, {"type": "urn:vaultr:problem:quota-exceeded", "status": 409}
        return status, body

    stored = {}

    def undo(method, path):
        if method == "PUT" and "/items/" in path:
            stored.update(done=True)

    two.server.before, two.server.tamper = undo, full
    with pytest.raises((QuotaExceeded, Refused)):
        two.laptop.move("Mail", to="Work")
    two.server.before = two.server.tamper = None

    assert stored
    assert "Mail" in where(two.laptop)["Personal"]


def test_immovable_item_is_reported(two):
    with pytest.raises(VaultNotFound):
        two.laptop.move("Mail", to="Nowhere")
    with pytest.raises(ItemNotFound):
        two.laptop.move("Mail", "Nothing", to="Work")
    with pytest.raises(ItemNotFound):
        two.laptop.move("Mail", to="Personal")
    trashed = two.laptop.trash("Door")
    with pytest.raises(ItemNotFound, match="trash"):
        two.laptop.move(str(trashed.id), to="Work")

    assert where(two.laptop) == {"Personal": ["Bank", "Mail"], "Work": []}
