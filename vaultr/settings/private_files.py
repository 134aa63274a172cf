"""Permissions of files that only the server's user may read: 0600, in folders of 0700."""

import contextlib
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

_FOLDER: Final = 0o700
_FILE: Final = 0o600
# The server's own files in VAULTR_HOME. Others stay as they are: it may be a user's home folder.
_HOME: Final = (
    "audit-state*", "authorities-*", "database-ca-*", "development-keys", "mail", "mail/*.eml",
    "vaultr.sqlite3*", "worker.alive",
)  # fmt: skip
_SQLITE_FILES: Final = ("", "-wal", "-shm", "-journal")


def protect_home(home: Path) -> None:
    """Restrict VAULTR_HOME, and the server's own files in it, to their owner.

    Other files in the folder, files of other users and symbolic links stay as they are.
    """
    for path in (home, *(path for name in _HOME for path in home.glob(name))):
        _restrict(path)


def stored(home: Path, name: str, text: str) -> Path:
    """Store a text in a file under ``home``; return its path, the same for the same text."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = home / f"{name}-{digest}.pem"
    home.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    draft = home / f".{path.name}.{secrets.token_hex(8)}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE), "w") as file:
        file.write(text)
    draft.replace(path)
    return path


def protect_sqlite(database: str) -> None:
    """Restrict the files of an SQLite database, and create a missing database file with 0600.

    SQLite creates `-wal` and `-shm` with the permissions of the database file.

    This never opens an existing file: closing it would release the locks that SQLite holds on the
    file in this process, because POSIX locks belong to the process (sqlite.org/howtocorrupt.html,
    §2.2). Another process could then remove the write-ahead log under a running server.
    """
    if not database or database == ":memory:" or database.startswith("file:"):
        return
    with contextlib.suppress(OSError):  # it exists; the connection reports a missing folder
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE))
    for suffix in _SQLITE_FILES:
        _restrict(Path(database + suffix))


def _restrict(path: Path) -> None:
    with contextlib.suppress(OSError):
        found = path.lstat()
        if found.st_uid != os.geteuid() or stat.S_ISLNK(found.st_mode):
            return
        mode = _FOLDER if stat.S_ISDIR(found.st_mode) else _FILE
        if stat.S_IMODE(found.st_mode) & ~mode:
            path.chmod(stat.S_IMODE(found.st_mode) & mode)
