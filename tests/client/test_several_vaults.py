"""The SDK with an honest server in memory: vaults deleted, items moved between them."""

import pytest

from tests.client.kills import KillAt, Killed, killed, requests_of
from tests.client.world import mail
from vaultr.client.errors import (
    ItemNotFound,
    QuotaExceeded,
    Refused,
    StepUpRequired,
    UsageError,
    VaultNotFound,
)
from vaultr.client.moving import InBoth
from vaultr.client.reading import Ambiguous, NameUnfit

NAMES = ["Work", "", "  ", "3f2b1f6e-7a39-4b7e-9a53-0d7e6c1f2a44", "x" * 201]


@pytest.fixture
def two(world):
    """An owner with items in one of two vaults."""
    world.laptop.create_vault("Work")
    for title in ("Mail", "Bank", "Door"):
        world.laptop.add("login", *mail(title, f"secret of {title}"), vault="Personal")
    return world


def where(device):
    """Tell which titles are active in which vault."""
    names = {vault.id: vault.name for vault in device.vaults()}
    found = {name: [] for name in names.values()}
    for item in device.items():
        found[names[item.vault_id]].append(item.title)
    return {name: sorted(titles) for name, titles in found.items()}


def rewound(world):
    world.laptop._drop()
    world.laptop = world.device("laptop")
    world.laptop._desk = world.kept.on(world.laptop)
    return world


# Names


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_tells_no_vault_from_the_others_is_refused(two, name):
    with pytest.raises(NameUnfit):
        two.laptop.create_vault(name)
    with pytest.raises(NameUnfit):
        two.laptop.rename_vault("Personal", name)

    assert sorted(vault.name for vault in two.laptop.vaults()) == ["Personal", "Work"]
    assert two.laptop.rename_vault("Work", "Work").name == "Work"


def test_two_vaults_that_got_one_name_on_two_devices_are_told_apart_by_their_ids(two):
    phone = two.second()
    phone.sync()

    def overtake(method, path):
        if (method, path) == ("POST", "/vaults"):
            two.server.before = None
            phone.create_vault("Home")

    two.server.before = overtake
    two.laptop.create_vault("Home")

    ids = [str(vault.id) for vault in two.laptop.vaults() if vault.name == "Home"]
    assert len(ids) == 2
    with pytest.raises(Ambiguous) as told:
        two.laptop.items(vault="Home")
    assert all(each in str(told.value) for each in ids)
    assert two.laptop.items(vault=ids[0]) == []
    assert two.laptop.rename_vault(ids[0], "House").name == "House"


# Deleting


def test_a_vault_is_deleted_only_by_its_name(two):
    with pytest.raises(UsageError, match="nothing was deleted"):
        two.laptop.delete_vault("Work", confirm="work")

    two.laptop.delete_vault("Work", confirm="Work")

    assert [vault.name for vault in two.laptop.vaults()] == ["Personal"]
    assert len(two.server.vaults) == 1


def test_a_deleted_vault_is_gone_from_all_devices_and_their_disks(two, tmp_path):
    phone = two.second()
    phone.sync()
    doomed = next(v.id for v in two.laptop.vaults() if v.name == "Personal")
    assert list((tmp_path / "phone" / "vaults").glob(f"{doomed}*"))

    two.laptop.delete_vault("Personal", confirm="Personal")
    phone.sync()

    assert [vault.name for vault in phone.vaults()] == ["Work"]
    for name in ("laptop", "phone"):
        assert not list((tmp_path / name / "vaults").glob(f"{doomed}*"))


def test_all_devices_know_of_the_deletion_before_the_server_does(two):
    order = []
    two.server.before = lambda method, path: order.append((method, path.partition("/vaults/")[0]))

    two.laptop.delete_vault("Work", confirm="Work")

    assert order.index(("PUT", "/auth/profile")) < order.index(("DELETE", ""))


def test_a_deletion_that_needs_the_password_is_gone_on_with_by_id(two):
    two.server.step_up = False
    doomed = str(next(v.id for v in two.laptop.vaults() if v.name == "Work"))
    with pytest.raises(StepUpRequired):
        two.laptop.delete_vault("Work", confirm="Work")

    assert [vault.name for vault in two.laptop.vaults()] == ["Personal"]
    assert any(f"vaults rm {doomed}" in notice for notice in two.laptop.notices)
    two.server.step_up = True
    two.laptop.delete_vault(doomed, confirm="")
    assert doomed not in two.server.vaults


def test_a_deletion_whose_answer_is_lost_is_done(two):
    two.server.lose = [("DELETE", "")]

    two.laptop.delete_vault("Work", confirm="Work")

    assert [vault.name for vault in two.laptop.vaults()] == ["Personal"]


# Moving


def test_items_move_to_another_vault_and_leave_their_versions_in_the_trash(two):
    two.laptop.edit("Mail", detail={"password": "newer"})

    moved = two.laptop.move("Mail", "Bank", to="Work")

    assert [item.title for item in moved] == ["Mail", "Bank"]
    assert where(two.laptop) == {"Personal": ["Door"], "Work": ["Bank", "Mail"]}
    assert where(two.second()) == {"Personal": ["Door"], "Work": ["Bank", "Mail"]}
    assert two.laptop.item("Mail").detail == {"password": "newer"}
    assert len(two.laptop.history("Mail", vault="Personal")) == 2


def test_a_copy_leaves_the_item_where_it_is(two):
    two.laptop.copy("Mail", to="Work")

    assert where(two.laptop) == {"Personal": ["Bank", "Door", "Mail"], "Work": ["Mail"]}
    ids = {item.id for item in two.laptop.items() if item.title == "Mail"}
    assert len(ids) == 2


def test_an_item_moves_to_and_fro_as_often_as_one_likes(two):
    for to in ("Work", "Personal") * 3:
        two.laptop.move("Mail", to=to)

    assert where(two.laptop) == {"Personal": ["Bank", "Door", "Mail"], "Work": []}
    assert two.laptop.item("Mail").detail == {"password": "secret of Mail"}


def test_an_item_that_was_moved_and_removed_there_moves_again(two):
    two.laptop.move("Mail", to="Work")
    two.laptop.remove("Mail", vault="Work")
    two.laptop.restore("Mail", vault="Personal")

    two.laptop.move("Mail", to="Work")

    assert where(two.laptop) == {"Personal": ["Bank", "Door"], "Work": ["Mail"]}


def test_a_move_killed_anywhere_loses_nothing_and_ends_when_it_is_done_again(
    first_world, tmp_path, two
):
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
            assert len(device.items()) == 3, "and none is there twice"


def test_an_interrupted_move_is_told_of_until_it_is_resumed(two):
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


def test_an_edit_while_an_item_moves_moves_with_it(two):
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


def test_an_item_that_is_edited_on_and_on_is_in_both_and_that_is_said(two):
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


def test_two_devices_that_move_one_item_at_once_move_it_once(two):
    phone = two.second()
    phone.sync()

    def overtake(method, path):
        if method == "PUT" and "/items/" in path:
            two.server.before = None
            phone.move("Mail", to="Work")

    two.server.before = overtake
    two.laptop.move("Mail", to="Work")

    assert where(two.laptop) == {"Personal": ["Bank", "Door"], "Work": ["Mail"]}


def test_a_full_vault_refuses_before_anything_left_its_own(two):
    def full(method, path, status, body):
        if method == "PUT" and "/items/" in path:
            return 409, {"type": "urn:vaultr:problem:quota-exceeded", "status": 409}
        return status, body

    kept = {}

    def undo(method, path):
        if method == "PUT" and "/items/" in path:
            kept.update(done=True)

    two.server.before, two.server.twist = undo, full
    with pytest.raises((QuotaExceeded, Refused)):
        two.laptop.move("Mail", to="Work")
    two.server.before = two.server.twist = None

    assert kept
    assert "Mail" in where(two.laptop)["Personal"]


def test_what_cannot_be_moved_is_said(two):
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
