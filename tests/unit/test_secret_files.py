import errno
import os

import pytest

from vaultr.client.errors import VaultrError
from vaultr.client.storage import secret_files
from vaultr.client.storage.secret_files import FileExists, save


def test_written_file_is_private_and_leaves_no_temporary_file(tmp_path):
    save(tmp_path / "out", b"secret", force=False)

    assert (tmp_path / "out").read_bytes() == b"secret"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["out"]


def test_existing_file_is_overwritten_only_on_request(tmp_path):
    (tmp_path / "out").write_text("old")
    (tmp_path / "out").chmod(0o644)

    with pytest.raises(FileExists):
        save(tmp_path / "out", b"new", force=False)
    assert (tmp_path / "out").read_text() == "old"
    save(tmp_path / "out", b"new", force=True)

    assert (tmp_path / "out").read_text() == "new"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_symlink_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("old")
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FileExists):
        save(tmp_path / "out", b"new", force=False)
    save(tmp_path / "out", b"new", force=True)

    assert (tmp_path / "elsewhere").read_text() == "old"
    assert not (tmp_path / "out").is_symlink()


@pytest.mark.parametrize("force", [True, False])
def test_folder_is_rejected_as_file(tmp_path, force):
    with pytest.raises(FileExists, match="folder"):
        save(tmp_path, b"new", force=force)


def test_failed_write_leaves_no_file(tmp_path, monkeypatch):
    def full(place, data):
        place.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(VaultrError, match="cannot be written"):
        save(tmp_path / "no" / "out", b"new", force=False)
    monkeypatch.setattr(secret_files.os, "link", lambda *_: full(tmp_path / "x", b""))
    with pytest.raises(VaultrError, match="No space left"):
        save(tmp_path / "out", b"new", force=False)

    assert os.listdir(tmp_path) == ["x"]


def test_file_system_without_links_is_supported(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(secret_files.os, "link", no_links)
    save(tmp_path / "out", b"secret", force=False)
    with pytest.raises(FileExists):
        save(tmp_path / "out", b"other", force=False)

    assert (tmp_path / "out").read_bytes() == b"secret"
    assert os.listdir(tmp_path) == ["out"]
