"""Items are removed permanently after 30 days in the trash, and never earlier."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.client.world import mail


@pytest.fixture
def trashed(world):
    """An owner who has just trashed an item; both clocks are right."""
    world.laptop.add("login", *mail())
    world.laptop.trash("Mail")
    world.laptop.sync()
    return world


@pytest.fixture
def own_clock(monkeypatch):
    """Set the clock of the devices this many days ahead."""

    def ahead(days):
        class Ahead(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + timedelta(days=days)

        for module in ("trash_purge", "sync"):
            monkeypatch.setattr(f"vaultr.client.vaults.{module}.datetime", Ahead)

    return ahead


def server_clock(world, days):
    """Set the clock of the server this many days ahead."""
    world.server.clock = lambda: datetime.now(UTC) + timedelta(days=days)


def in_trash(device):
    return [each.title for each in device.items(state="trash", offline=True)]


@pytest.mark.parametrize(("days", "left"), [(29.9, ["Mail"]), (30.1, [])])
def test_trash_is_removed_after_thirty_days_by_both_clocks(trashed, own_clock, days, left):
    own_clock(days)
    server_clock(trashed, days)

    trashed.laptop.sync()

    assert in_trash(trashed.laptop) == left
    assert trashed.laptop.notices == []


def test_trash_of_other_devices_is_removed_too(world, own_clock):
    world.laptop.add("login", *mail())
    with world.second_by_key() as phone:
        phone.trash("Mail")
    world.laptop.sync()
    own_clock(31)
    server_clock(world, 31)

    world.laptop.sync()

    assert in_trash(world.laptop) == []
    assert in_trash(world.second_by_key("tablet")) == []


def test_clock_temporarily_ahead_removes_nothing(trashed, own_clock):
    own_clock(365)

    trashed.laptop.sync()

    assert in_trash(trashed.laptop) == ["Mail"]
    assert any("not by the server's" in notice for notice in trashed.laptop.notices)


def test_slow_clock_at_trash_time_removes_nothing(world, own_clock):
    world.laptop.add("login", *mail())
    own_clock(-10_000)
    world.laptop.trash("Mail")
    world.laptop.sync()
    own_clock(0)

    world.laptop.sync()

    assert in_trash(world.laptop) == ["Mail"]


def test_server_clock_ahead_removes_nothing(trashed):
    server_clock(trashed, 365)

    trashed.laptop.sync()

    assert in_trash(trashed.laptop) == ["Mail"]


def test_missing_server_time_removes_nothing_and_warns(trashed, own_clock):
    own_clock(31)
    trashed.laptop.device.unlocked.account.session.server_time = lambda: None

    trashed.laptop.sync()

    assert in_trash(trashed.laptop) == ["Mail"]
    assert any("not by the server's" in notice for notice in trashed.laptop.notices)


def test_item_restored_on_another_device_is_not_purged(trashed, own_clock):
    phone = trashed.second_by_key()
    phone.sync()
    own_clock(31)
    server_clock(trashed, 31)

    def overtake(method, path):
        if path.endswith("/remove"):
            trashed.server.before = None
            phone.restore("Mail")

    trashed.server.before = overtake
    trashed.laptop.sync()

    assert [item.title for item in trashed.laptop.items()] == ["Mail"]


def test_thirty_days_restart_after_item_was_restored(trashed, own_clock):
    with trashed.second_by_key() as phone:
        own_clock(29)
        server_clock(trashed, 29)
        phone.restore("Mail")
        phone.trash("Mail")
    trashed.laptop.sync()
    own_clock(31)
    server_clock(trashed, 31)

    trashed.laptop.sync()

    assert in_trash(trashed.laptop) == ["Mail"]
