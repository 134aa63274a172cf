"""`flask backup create` on a disk that is full, or read-only (needs root, to mount a small one)."""

import os
import subprocess

import pytest
import sqlalchemy as sa

from tests.harness import backups
from tests.harness.disks import SmallDisk
from vaultr.database.base import Fact
from vaultr.database.session import transaction

pytestmark = pytest.mark.usefixtures("migrated_to_newest")


@pytest.fixture
def disk(tmp_path):
    """A disk of one megabyte."""
    disk = SmallDisk(tmp_path / "backups", 1)
    assert disk.mounted
    yield disk
    disk.remove()


@pytest.fixture
def flask(app, example, disk, set_to, monkeypatch):
    sealed_for = {"recipient": example.recipient, "identity": example.identity}
    with backups.commands(app, disk.folder, set_to, monkeypatch, **sealed_for) as run:
        yield run


def test_create_on_full_disk_reports_it_and_leaves_no_file(flask, disk):
    with transaction() as session:
        session.add(Fact(name="noise", value=os.urandom(2_000_000)))

    full = flask("create")

    assert full.exit_code == 1
    assert f"The disk of {disk.folder} is full." in full.output
    assert list(disk.folder.iterdir()) == []
    with transaction() as session:
        session.execute(sa.delete(Fact).where(Fact.name == "noise"))
    assert flask("create").exit_code == 0


def test_create_on_read_only_disk_reports_it(flask, disk):
    subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)

    done = flask("create")

    assert done.exit_code == 1
    assert f"{disk.folder} cannot be written: Read-only file system." in done.output
