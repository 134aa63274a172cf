from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from vaultr.client.storage import freshness
from vaultr.client.storage.private_folder import FileAltered, Folder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "home")


def at(moment):
    return time_machine.travel(moment, tick=False)


def test_sync_is_recorded_and_its_age_shown(folder):
    with at(NOW):
        assert freshness.age(folder) is None
        freshness.note(folder)
    with at(NOW + timedelta(hours=3)):
        assert freshness.age(folder) == timedelta(hours=3)


def test_age_is_never_understated(folder):
    for seconds in range(0, 120, 7):
        with at(NOW + timedelta(seconds=seconds)):
            freshness.note(folder)
        with at(NOW + timedelta(seconds=seconds + 1)):
            age = freshness.age(folder)
            assert timedelta(seconds=1) <= age <= freshness.NOTES_APART + timedelta(seconds=1)


def test_clock_set_back_makes_age_unknown_until_sync(folder):
    with at(NOW):
        freshness.note(folder)
    with at(NOW - timedelta(days=1)):
        assert freshness.age(folder) is None
        freshness.note(folder)
        assert freshness.age(folder) == timedelta(0)


def test_modified_record_is_reported_and_rewritten_by_sync(folder):
    with at(NOW):
        freshness.note(folder)
    note = folder.path / "synced.json"
    note.write_bytes(note.read_bytes().replace(b"2026", b"2027"))

    with pytest.raises(FileAltered, match="synced"):
        freshness.age(folder)
    with at(NOW):
        freshness.note(folder)
        assert freshness.age(folder) == timedelta(0)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(seconds=60), "1 minute"),
        (timedelta(minutes=59), "59 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=47), "1 day"),
        (timedelta(days=400), "400 days"),
    ],
)
def test_age_uses_its_largest_whole_unit(age, expected):
    assert freshness.age_text(age) == expected
