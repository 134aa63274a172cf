"""`flask backup` is killed at any step: no incomplete file looks complete."""

import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tests.harness import backups, servers
from vaultr.backup import create, restore, retention, scratch, sealing, storage, verify
from vaultr.backup.folder import Folder
from vaultr.backup.programs import Loader
from vaultr.database import engine
from vaultr.settings.model import current_settings

pytestmark = pytest.mark.usefixtures("migrated_to_newest")
CHANGES = {"open", "os.rename", "os.remove"}


def killed_at(step, app, work, folder):
    """Run ``work`` in a child that kills itself before its n-th change of a folder.

    :return: whether it reached that step.
    """
    child = os.fork()
    if child == 0:
        left = [step]

        def watch(event, arguments):
            if event in CHANGES and str(folder) in str(arguments[0]):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        engine.after_fork(app)
        sys.addaudithook(watch)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.fixture
def place(app, example, tmp_path, set_to, monkeypatch):
    monkeypatch.setenv("PATH", backups.path_with_programs())
    set_to(app, backup_recipient=example.recipient, backup_identity_file=example.identity)
    folder = tmp_path / "backups"
    folder.mkdir()
    with app.app_context():
        yield folder


def steps(pytestconfig, few):
    """Return the steps at which to kill: all, or a few for `make test`."""
    return range(1, 40) if pytestconfig.getoption("--long") else few


def test_killed_create_leaves_only_whole_backups(app, place, pytestconfig):
    settings, location = current_settings(), Folder(place)

    for step in steps(pytestconfig, (2, 3)):
        reached = killed_at(step, app, lambda: create.create(settings, location), place)

        for one in location.list():
            assert verify.inspect(settings, location, one.name)
        if not reached:
            break
    name = create.create(settings, location).name

    assert verify.inspect(settings, location, name)


@pytest.mark.parametrize(
    "number", [2, *(pytest.param(number, marks=pytest.mark.long) for number in (1, 3))]
)
def test_create_killed_inside_a_write_leaves_no_backup(app, place, monkeypatch, number):
    settings, location, left = current_settings(), Folder(place), [number]
    write = sealing._Watched.write

    def die_inside(target, data):
        left[0] -= 1
        if left[0] == 0:
            write(target, data[: len(data) // 2])
            target.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return write(target, data)

    monkeypatch.setattr(sealing._Watched, "write", die_inside)

    killed = killed_at(10**9, app, lambda: create.create(settings, location), place)

    assert killed
    assert location.list() == []
    [partial] = place.iterdir()
    assert partial.name.endswith(".partial")
    monkeypatch.undo()


def test_killed_verification_mark_leaves_backup_unverified(app, place, example, monkeypatch):
    path, location = example.in_folder(place), Folder(place)

    def die_inside(descriptor):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(os, "fsync", die_inside)
    killed = killed_at(10**9, app, lambda: location.mark_verified(path.name, {}), place)
    monkeypatch.undo()

    assert killed
    assert [one.verified for one in location.list()] == [False]
    location.mark_verified(path.name, {})
    assert [one.verified for one in location.list()] == [True]


def test_killed_prune_keeps_the_newest_and_can_be_repeated(app, place, pytestconfig):
    now = datetime.now(UTC)
    names = [storage.new_name(now - timedelta(days=age), sealed=True) for age in (0, 40, 50)]
    location = Folder(place)

    def prune():
        retention.prune(location, now, keep_days=30, keep_monthly=0)

    for step in steps(pytestconfig, (1, 2)):
        for name in names:
            (place / name).write_bytes(b"x")
        (place / f"{names[1]}.verified").write_text("{}")
        (place / f"{names[0]}.verified").write_text("{}")

        reached = killed_at(step, app, prune, place)

        listed = {one.name: one.verified for one in location.list()}
        assert listed[names[0]] is True
        assert all(one in names for one in listed)
        prune()
        assert {path.name for path in place.iterdir()} == {names[0], f"{names[0]}.verified"}
        if not reached:
            break


@pytest.mark.parametrize(
    "pieces", [1, pytest.param(0, marks=pytest.mark.long), pytest.param(2, marks=pytest.mark.long)]
)
def test_killed_restore_leaves_an_empty_database(
    app, place, example, postgres_url, monkeypatch, pieces
):
    url = servers.fresh_database(postgres_url)
    example.in_folder(place)
    settings, location = current_settings(), Folder(place)
    write, left = Loader.write, [pieces]

    def die_after(loader, piece):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        for at in range(0, len(piece), 20_000):  # so that part of it was already restored
            write(loader, piece[at : at + 20_000])
            time.sleep(0.05)
        if pieces == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def die_before_the_end(_loader):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Loader, "write", die_after)
    monkeypatch.setattr(Loader, "finish", die_before_the_end)
    monkeypatch.setattr(restore, "_prepare", lambda _connection: ((), None))

    killed = killed_at(
        10**9, app, lambda: restore.restore(settings, location, example.name, url), place
    )

    assert killed
    with scratch.connected(url, isolation_level="AUTOCOMMIT") as connection:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        until = time.monotonic() + 30
        while connection.scalar(sa.text(others)) > 1 and time.monotonic() < until:
            time.sleep(0.05)
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert connection.scalar(sa.text(tables)) == 0
    servers.drop_database(url)
