import errno
import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from vaultr.client.storage import private_folder as folder_module
from vaultr.client.storage.private_folder import FileAltered, Folder, FolderUnusable, home_folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "home")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_is_set_by_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("VAULTR_DIR", str(tmp_path))

    assert home_folder() == tmp_path


def test_signed_file_is_readable_and_private(folder):
    folder.write_signed("device.json", b'{"a":1}')

    assert folder.read_json("device.json") == {"a": 1}
    assert mode(folder.path) == 0o700
    assert {mode(file) for file in folder.path.iterdir()} == {0o600}


def test_folder_accessible_to_others_becomes_private(folder):
    folder.path.mkdir(mode=0o755)

    folder.write_signed("device.json", b"{}")

    assert mode(folder.path) == 0o700


def test_missing_file_is_none(folder):
    assert folder.read_signed("device.json") is None
    assert not folder.path.exists(), "reading creates nothing"


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data + b" ", lambda _: b""])
def test_altered_file_is_reported_and_unchanged(folder, spoil):
    folder.write_signed("device.json", b'{"a":1}')
    place = folder.path / "device.json"
    place.write_bytes(spoil(place.read_bytes()))
    spoiled = place.read_bytes()

    with pytest.raises(FileAltered, match=r"device\.json"):
        folder.read_signed("device.json")

    assert place.read_bytes() == spoiled


def test_renamed_file_is_rejected(folder):
    folder.write_signed("one", b"{}")
    (folder.path / "one").rename(folder.path / "two")

    with pytest.raises(FileAltered, match="two"):
        folder.read_signed("two")


def test_lost_device_key_is_not_replaced_while_files_use_it(folder):
    folder.write_signed("device.json", b"{}")
    (folder.path / "device.key").unlink()

    with pytest.raises(FileAltered, match=r"device\.key"):
        Folder(folder.path).read_signed("device.json")


def test_symlink_is_not_followed(folder, tmp_path):
    folder.write_signed("device.json", b"{}")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"theirs")
    (folder.path / "session.json").symlink_to(elsewhere)

    with pytest.raises(FolderUnusable):
        folder.read("session.json")
    folder.write("session.json", b"ours")

    assert elsewhere.read_bytes() == b"theirs"


def test_full_disk_preserves_the_old_file(folder, monkeypatch):
    folder.write_signed("device.json", b'{"a":1}')

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder_module.os, "fsync", full)
    with pytest.raises(FolderUnusable, match="No space"):
        folder.write_signed("device.json", b'{"a":2}')
    monkeypatch.undo()

    assert folder.read_json("device.json") == {"a": 1}
    assert sorted(os.listdir(folder.path)) == ["device.json", "device.key", "lock"]


def test_unfinished_files_of_killed_process_are_removed(folder):
    folder.write_signed("device.json", b"{}")
    (folder.path / ".device.json.0123.unfinished").write_bytes(b"to")

    folder.write_signed("device.json", b"{}")

    assert sorted(os.listdir(folder.path)) == ["device.json", "device.key", "lock"]


def test_lock_blocks_other_processes_until_their_timeout(folder, monkeypatch):
    holding = (
        "import sys, time; from pathlib import Path\n"
        "from vaultr.client.storage.private_folder import Folder\n"
        "with Folder(Path(sys.argv[1])).locked():\n    print('held', flush=True); time.sleep(60)"
    )
    folder.write_signed("device.json", b"{}")
    command = [sys.executable, "-c", holding, str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        monkeypatch.setattr(folder_module, "LOCK_SECONDS", 0.1)

        with pytest.raises(FolderUnusable, match="in use by another command"):
            folder.write("device.json", b"")
        other.send_signal(signal.SIGKILL)
        other.wait()

    with folder.locked(), folder.locked():
        assert folder.read_json("device.json") == {}


def test_kill_at_any_moment_leaves_complete_file(folder, count):
    writing = (
        "import sys, itertools; from pathlib import Path\n"
        "from vaultr.client.storage.private_folder import Folder\n"
        "folder = Folder(Path(sys.argv[1]))\n"
        "for n in itertools.count():\n"
        "    folder.write_signed('device.json', b'{\"a\":\"%s\"}' % (b'x' * 100_000))\n"
        "    n or print('writing', flush=True)"
    )
    command = [sys.executable, "-c", writing, str(folder.path)]
    for kill in range(count(5, many=200)):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            time.sleep(0.003 * (kill % 17))
            other.kill()

        assert folder.read_json("device.json") == {"a": "x" * 100_000}


def test_folder_of_another_user_is_rejected(folder, monkeypatch):
    folder.write("a", b"theirs")
    monkeypatch.setattr("os.getuid", lambda: 12345)

    with pytest.raises(FolderUnusable, match="another user"):
        Folder(folder.path).read("a")
