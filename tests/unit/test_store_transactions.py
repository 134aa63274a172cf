"""Several files of the client's folder are replaced together: after a kill, all or none."""

import os

import pytest

from vaultr.client.storage import private_folder as folder_module
from vaultr.client.storage.private_folder import FileAltered, Folder

BEFORE = {"device.json": b"old device", "account.json": b"old account", "wraps.json": b"old wraps"}
AFTER = {"device.json": b"new device", "account.json": b"new account", "secret.key": b"new key"}


class Killed(BaseException):
    """Simulates SIGKILL: none of our code runs after it."""


@pytest.fixture
def home(tmp_path):
    folder = Folder(tmp_path / "home")
    for name, value in BEFORE.items():
        folder.write_signed(name, value)
    return folder.path


def written(folder):
    names = {*BEFORE, *AFTER}
    return {name: value for name in names if (value := folder.read_signed(name)) is not None}


def replace_all(folder):
    files = {name: folder.signed(name, value) for name, value in AFTER.items()}
    folder.write_together({**files, "wraps.json": None})


def test_files_are_replaced_and_removed_together(home):
    replace_all(Folder(home))

    assert written(Folder(home)) == AFTER
    assert "together.json" not in os.listdir(home)


def killing(monkeypatch, left):
    """Kill at the ``left``-th write or flush to disk."""
    steps = iter(range(1, 1000))

    def counted(real):
        def call(*arguments):
            if next(steps) == left:
                raise Killed
            return real(*arguments)

        return call

    for name in ("write_new", "sync_folder"):
        monkeypatch.setattr(folder_module, name, counted(getattr(folder_module, name)))


def start_over(home):
    for name in BEFORE.keys() | AFTER.keys():
        (home / name).unlink(missing_ok=True)
    for name, value in BEFORE.items():
        Folder(home).write_signed(name, value)


def test_kill_at_any_point_leaves_old_or_new_files(home, monkeypatch):
    seen, finished = [], False
    while not finished:
        start_over(home)
        killing(monkeypatch, left=len(seen) + 1)
        try:
            replace_all(Folder(home))
            finished = True
        except Killed:
            pass
        monkeypatch.undo()
        seen.append(written(Folder(home)))
        assert seen[-1] in (BEFORE, AFTER)

    assert seen[0] == BEFORE
    assert seen[-2:] == [AFTER, AFTER]
    assert len(seen) > 8, "each write and each flush was a kill point"


def test_altered_transaction_file_is_rejected(home):
    folder = Folder(home)
    folder.write_signed("together.json", b'{"device.json": null}')
    place = home / "together.json"
    place.write_bytes(place.read_bytes().replace(b"device", b"accoun"))

    with pytest.raises(FileAltered, match=r"together\.json"):
        Folder(home).read_signed("device.json")

    assert (home / "device.json").exists()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("vaults/x.vault", "two files"),
        ("account.json", "this file"),
        ("device.json", "emergency kit"),
        ("device.key", "emergency kit"),
        ("secret-x.key", "emergency kit"),
    ],
)
def test_advice_for_damaged_file_never_discards_secret_key(home, name, advice):
    text = str(Folder(home).altered(name))

    assert advice in text
    assert "folder away" not in text
