"""Backups in a folder: files with mode 0600, written under a temporary name and renamed."""

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from vaultr.backup.errors import LocationFailed
from vaultr.backup.sealing import ReadableFile, WritableFile
from vaultr.backup.storage import VERIFIED, Stored, is_name

_PARTIAL: Final = ".partial"
_STALE_SECONDS: Final = 86_400.0


class Folder:
    """A folder of files with mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list(self) -> list[Stored]:
        """Return all complete backups, oldest first."""
        with self._reported("be read"):
            found = {entry.name: entry.stat().st_size for entry in os.scandir(self._path)}
        names = sorted(name for name in found if is_name(name))
        return [Stored(name, found[name], f"{name}{VERIFIED}" in found) for name in names]

    def write(self, name: str, produce: Callable[[WritableFile], None]) -> int:
        """Write under a temporary name, flush to disk, then rename."""
        partial = self._path / f".{name}{_PARTIAL}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with self._reported("be written"):
                with open(os.open(partial, flags, 0o600), "wb") as file:
                    produce(file)
                    file.flush()
                    os.fsync(file.fileno())
                    size = file.tell()
                partial.rename(self._path / name)
                self._sync()
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        return size

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[ReadableFile]:
        """Open a backup to read it."""
        with self._reported("be read", name), (self._path / name).open("rb") as file:
            yield file

    def mark_verified(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write a marker file beside the backup."""
        text = json.dumps(dict(facts), default=str).encode()
        with contextlib.suppress(FileNotFoundError):
            (self._path / f".{name}{VERIFIED}{_PARTIAL}").unlink()
        self.write(f"{name}{VERIFIED}", lambda file: file.write(text))

    def remove(self, name: str) -> bool:
        """Remove the backup, then its marker, so that no missing file is listed as verified."""
        with self._reported("be changed"):
            (self._path / name).unlink(missing_ok=True)
            (self._path / f"{name}{VERIFIED}").unlink(missing_ok=True)
            self._sync()
        return True

    def remove_leftovers(self) -> None:
        """Remove partial files older than a day, and marker files without a backup."""
        with self._reported("be read"):
            for path in list(self._path.iterdir()):
                if path.name.startswith(".vaultr-") and path.name.endswith(_PARTIAL):
                    stale = time.time() - path.stat().st_mtime > _STALE_SECONDS
                    if stale:
                        path.unlink(missing_ok=True)
                backup_name = path.name.removesuffix(VERIFIED)
                if (
                    backup_name != path.name
                    and is_name(backup_name)
                    and not (self._path / backup_name).exists()
                ):
                    path.unlink(missing_ok=True)

    def _sync(self) -> None:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _reported(self, what: str, name: str | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LocationFailed(self._error_message(error, what, name)) from None

    def _error_message(self, error: OSError, what: str, name: str | None) -> str:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"The disk of {self._path} is full. Free space, or run `flask backup prune`."
        if error.errno == errno.ENOENT and self._path.is_dir() and name is not None:
            return f"{self._path} has no backup {name}. `flask backup list` shows all."
        if error.errno == errno.ENOENT:
            return f"The folder {self._path} does not exist. Create it, or mount its disk."
        reason = error.strerror or type(error).__name__
        return f"{self._path} cannot {what}: {reason}. Check its owner and mode."
