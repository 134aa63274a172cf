"""The client's folder: private files that are replaced atomically, with a lock for all processes.

Every file except the device key has a MAC under that key, which detects damaged or altered files. A
file that looks wrong is never deleted.
"""

import contextlib
import errno
import fcntl
import hmac
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import platformdirs

from vaultr.client.crypto.primitives import hmac_sha256
from vaultr.client.errors import IntegrityError, VaultrError
from vaultr.client.strict_json import Json, read_object
from vaultr.protocol.encoding import b64, lp, unb64

# The first signed file of a folder: if it exists, the device key must exist.
DEVICE_FILE: Final = "device.json"
ACCOUNT_FILE: Final = "account.json"
# Each machine has its own subfolder, with its own lock.
MACHINES_FOLDER: Final = "machines"
LOCK_SECONDS: Final = 30.0
_LOCK: Final = "lock"
_DEVICE_KEY: Final = "device.key"
_UNFINISHED: Final = ".unfinished"
# The new contents of several files, until all of them are written.
_TOGETHER: Final = "together.json"
_MAC_CHARACTERS: Final = 43
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A change replaces the vault's file, which may be large, and small files.
_REPLACED: Final = "*.vault"
_SPARE_BYTES: Final = 64 * 1024


class FolderUnusable(VaultrError):
    """The client's folder cannot be used: no space, no permission, or another command uses it."""


class DiskFull(FolderUnusable):
    """The disk of this device is full."""

    advice = "Free some disk space, then try again. With --offline you can read this device's copy."


class CopyOutdated(FolderUnusable):
    """A change is stored on the server, but this device could not update its copy."""

    advice = (
        "The change is stored on the server; only the copy on this device could not be updated."
        " Free some disk space, then run: vaultr sync"
    )


class FileAltered(IntegrityError):
    """A file of the client's folder is damaged, or another program changed it."""

    advice = ""


def home_folder() -> Path:
    """Return ``VAULTR_DIR``, or the platform's folder for user data."""
    path = os.environ.get("VAULTR_DIR")
    return Path(path) if path else platformdirs.user_data_path("vaultr", appauthor=False)


class Folder:
    """Files by name in one folder, safe for several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_depth = 0
        self._lock_file = -1
        self._is_own = False
        self._key: bytes | None = None
        self._hurry_until = float("inf")

    def hurry(self, seconds: float) -> None:
        """Wait for other commands until at most ``seconds`` from now, in total."""
        self._hurry_until = time.monotonic() + seconds

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process; may be nested.

        :raises FolderUnusable: another command has locked it for 30 seconds.
        """
        if self._lock_depth == 0:
            self._lock_file = self._take_lock()
            self._delete_unfinished()
        self._lock_depth += 1
        try:
            if self._lock_depth == 1:
                self._finish_together()
            yield
        finally:
            self._lock_depth -= 1
            if self._lock_depth == 0:
                os.close(self._lock_file)

    def require_space(self, size: int = 0) -> None:
        """Check, before a change is sent, that the files it replaces fit on the disk.

        :param size: bytes that the change adds.
        :raises DiskFull: they do not fit.
        """
        with self._explained():
            free = os.statvfs(self.path)
            largest = max((file.stat().st_size for file in self.path.rglob(_REPLACED)), default=0)
        needed = largest + size + _SPARE_BYTES
        if free.f_bavail * free.f_frsize < needed:
            raise DiskFull(f"{self.path}: the disk of this device is full. Nothing was sent.")

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if it does not exist.

        :raises FolderUnusable: the file cannot be read, or the folder belongs to another user.
        """
        if self._lock_depth == 0 and (self.path / _TOGETHER).exists():
            with self.locked():  # finishes writes that a kill interrupted
                return self.read(name)
        try:
            if not self._is_own:
                self._check_owner()
            descriptor = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        with open(descriptor, "rb") as file:
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """Replace a file by ``data``; after a kill or on a full disk the old file remains."""
        place = self.path / name
        unfinished = place.with_name(f".{place.name}.{secrets.token_hex(8)}{_UNFINISHED}")
        with self._explained(), self.locked():
            place.parent.mkdir(mode=0o700, exist_ok=True)
            try:
                write_new(unfinished, data)
                unfinished.replace(place)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
            sync_folder(place.parent)

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        with self._explained(), self.locked():
            (self.path / name).unlink(missing_ok=True)

    def write_together(self, files: Mapping[str, bytes | None]) -> None:
        """Write all ``files`` or none; after a kill, the next reader finishes the write.

        :param files: the content of each, from :meth:`signed`; None deletes it.
        """
        encoded = {name: None if data is None else b64(data) for name, data in files.items()}
        with self.locked():
            self.write_signed(_TOGETHER, json.dumps(encoded, separators=(",", ":")).encode())
            self._finish_together()

    def _finish_together(self) -> None:
        if not (self.path / _TOGETHER).exists():
            return
        for name, data in (self.read_json(_TOGETHER) or {}).items():
            if data is None:
                self.remove(name)
            else:
                self.write(name, unb64(data))
        self.remove(_TOGETHER)
        with self._explained():
            sync_folder(self.path)

    def names(self, folder: str) -> list[str]:
        """List the files of a subfolder, without unfinished files."""
        within = self.path / folder
        if not within.is_dir():
            return []
        return sorted(file.name for file in within.iterdir() if not file.name.startswith("."))

    def write_signed(self, name: str, value: bytes) -> None:
        """Write a file with a MAC over its name and content."""
        self.write(name, self.signed(name, value))

    def signed(self, name: str, value: bytes) -> bytes:
        """Return the content of a signed file: its MAC and ``value``."""
        return self._mac(name, value).encode() + b"\n" + value

    def read_signed(self, name: str) -> bytes | None:
        """Return the value of a signed file; None if it does not exist.

        :raises FileAltered: its MAC is wrong.
        """
        data = self.read(name)
        if data is None:
            return None
        mac, value = data[:_MAC_CHARACTERS], data[_MAC_CHARACTERS + 1 :]
        if not hmac.compare_digest(mac, self._mac(name, value).encode()):
            raise self.altered(name)
        return value

    def read_json(self, name: str) -> Json | None:
        """Return the JSON object in a signed file; None if it does not exist."""
        value = self.read_signed(name)
        try:
            return None if value is None else read_object(value)
        except ValueError:
            raise self.altered(name) from None

    def altered(self, name: str) -> FileAltered:
        """Return the error for a damaged or altered file, with advice."""
        file, advice = self.path / name, _repair_advice(name)
        return FileAltered(f"{file} is damaged or was altered; it was not changed. {advice}")

    def _mac(self, name: str, value: bytes) -> str:
        return b64(hmac_sha256(self._device_key(), lp("vaultr/v1/device-file", name, value)))

    def _device_key(self) -> bytes:
        if self._key is None:
            key = self.read(_DEVICE_KEY)
            if key is None:
                key = self._new_device_key()
            if len(key) != 32:
                raise self.altered(_DEVICE_KEY)
            self._key = key
        return self._key

    def _new_device_key(self) -> bytes:
        with self.locked():
            if (self.path / DEVICE_FILE).exists():
                raise self.altered(_DEVICE_KEY)
            if self.read(_DEVICE_KEY) is None:  # another command may have created it
                self.write(_DEVICE_KEY, secrets.token_bytes(32))
            return self.read(_DEVICE_KEY) or b""

    def _take_lock(self) -> int:
        with self._explained():
            self._prepare()
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self.path / _LOCK, flags, 0o600)
        until = min(time.monotonic() + LOCK_SECONDS, self._hurry_until)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES) or time.monotonic() > until:
                    os.close(descriptor)
                    raise FolderUnusable(
                        f"{self.path} is in use by another command. Try again when it has ended."
                    ) from error
                time.sleep(0.02)
            else:
                return descriptor

    def _prepare(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(self._check_owner()) != 0o700:
            self.path.chmod(0o700)

    def _check_owner(self) -> int:
        # Another user's files could name another server, which the client would trust.
        seen = self.path.stat()
        if seen.st_uid != os.getuid():
            raise FolderUnusable(
                f"{self.path} belongs to another user. Set VAULTR_DIR to a folder of your own."
            )
        self._is_own = True
        return seen.st_mode

    def _delete_unfinished(self) -> None:
        # Only the process with the lock writes, so unfinished files were left by a kill.
        for left in self.path.rglob(f".*{_UNFINISHED}"):
            if left.relative_to(self.path).parts[0] != MACHINES_FOLDER:
                left.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> FolderUnusable:
        kind = DiskFull if error.errno in _FULL else FolderUnusable
        return kind(f"{error.filename or self.path}: {error.strerror}")


def _repair_advice(name: str) -> str:
    """Return how to repair a folder without losing its secret key, pins or heads."""
    if name.endswith((".vault", ".details")):
        return (
            "Move the two files of this vault to another place: the next sync fetches them again "
            "and verifies them against the profile."
        )
    if name in (DEVICE_FILE, _DEVICE_KEY) or name.endswith(".key"):
        return (
            "Keep this folder: it may have the only copy of the secret key. To log in with your "
            "emergency kit, set VAULTR_DIR to another folder."
        )
    return "Move this file to another place, keep all others, and log in: vaultr login"


def write_new(place: Path, data: bytes) -> None:
    """Write a new file with mode 0600 and flush it to disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(place, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
