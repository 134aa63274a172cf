"""Create a backup: one snapshot of the database with a manifest, sealed and stored atomically."""

import contextlib
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.backup import digests, needed_keys, programs, sealing, storage
from vaultr.backup.archive import ArchiveSource
from vaultr.backup.errors import NotConfigured
from vaultr.backup.manifest import Manifest
from vaultr.backup.programs import Address
from vaultr.backup.storage import Location
from vaultr.database.session import db, postgresql, transaction
from vaultr.ops import last_runs
from vaultr.ops.job_locks import job_lock
from vaultr.ops.last_runs import RunKind
from vaultr.settings.model import Settings
from vaultr.version import __version__

_LOCK: Final = "backup-create"
_POLL_SECONDS: Final = 0.2
_PIECE_BYTES: Final = 256 * 1024
_CHECKPOINT: Final = "SELECT note FROM audit_checkpoint ORDER BY epoch DESC, size DESC LIMIT 1"
_NO_LIMITS: Final = (
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
    " SET LOCAL idle_in_transaction_session_timeout = 0"
)


@dataclass(frozen=True, slots=True)
class Created:
    """A new backup."""

    name: str
    size: int
    seconds: float
    manifest: Manifest


def create(settings: Settings, location: Location) -> Created:
    """Create a backup and record it. A second one at the same time waits for the first.

    :raises NotConfigured: in production without BACKUP_RECIPIENT, or without `pg_dump`.
    :raises LocationFailed: the location is full, not writable or not reachable.
    """
    keys = sealing.recipients(settings)
    location.list()  # fail now, not after a long dump
    with _alone():
        began = time.monotonic()
        location.remove_leftovers()
        name = storage.new_name(clock.now(), sealed=bool(keys))
        with _snapshot(settings, storage.created_at(name)) as source:
            size = location.write(name, lambda target: sealing.seal(source, target, keys))
        done = Created(name, size, time.monotonic() - began, source.manifest)
    facts = {"file": name, "seconds": round(done.seconds, 1), "rows": done.manifest.rows}
    last_runs.note(
        RunKind.BACKUP_MADE,
        {**facts, "revision": done.manifest.revision},
        at=done.manifest.created_at,
    )
    return done


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    while True:
        with job_lock(_LOCK) as acquired:
            if acquired:
                yield
                return
        time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _snapshot(settings: Settings, now: datetime) -> Iterator[ArchiveSource]:
    """Open a snapshot of the database as an archive to read."""
    if postgresql():
        with transaction(snapshot=True) as work, _of_postgresql(work, settings, now) as source:
            yield source
    else:
        with _of_sqlite(now) as source:
            yield source


@contextlib.contextmanager
def _of_postgresql(session: Session, settings: Settings, now: datetime) -> Iterator[ArchiveSource]:
    """Dump the database, and compute the digests of its tables in parallel."""
    connection = session.connection()
    connection.exec_driver_sql(_NO_LIMITS)

    def read(query: str) -> Any:
        return session.scalar(sa.text(query))

    programs.check_version(int(read("SHOW server_version_num")))
    snapshot = str(read("SELECT pg_export_snapshot()"))
    manifest = _manifest(read, now, "postgresql", str(read("SHOW server_version")))
    manifest = replace(manifest, constraints=digests.constraints(connection))
    url = settings.database_url.get_secret_value()
    with (
        contextlib.closing(programs.dump(Address.of(url), snapshot)) as dump,  # ends pg_dump, too
        digests.computed(url, snapshot=snapshot) as tables,
    ):
        yield ArchiveSource(dump, manifest, tables)


@contextlib.contextmanager
def _of_sqlite(now: datetime) -> Iterator[ArchiveSource]:
    """Copy the database with SQLite's online backup, while others read and write it."""
    database = Path(str(db.engine.url.database))
    prefix = f".{database.name}-backup-"
    for leftover in database.parent.glob(f"{prefix}*"):  # left by a killed command
        shutil.rmtree(leftover, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=database.parent) as folder,
        contextlib.closing(sqlite3.connect(database, isolation_level=None)) as source,
    ):

        def read(query: str) -> Any:
            return (source.execute(query).fetchone() or (None,))[0]

        source.execute("BEGIN")
        manifest = _manifest(read, now, "sqlite", sqlite3.sqlite_version)
        copy = Path(folder) / database.name
        copy.touch(0o600)
        with contextlib.closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        yield ArchiveSource(_pieces(copy), manifest, lambda: digests.of_sqlite(source))


def _manifest(read: Callable[[str], Any], now: datetime, engine: str, server: str) -> Manifest:
    """Return the manifest without the tables.

    :param read: returns the first value of a query in the snapshot.
    """
    revision = _revision(read)
    return Manifest(
        created_at=now, version=__version__, revision=revision, engine=engine, server=server,
        tables={}, constraints={}, checkpoint=read(_CHECKPOINT), keys=needed_keys.needed(),
    )  # fmt: skip


def _revision(read: Callable[[str], Any]) -> str:
    try:
        revision = read("SELECT version_num FROM alembic_version")
    except (sa.exc.ProgrammingError, sqlite3.OperationalError):
        revision = None
    if revision is None:
        raise NotConfigured("The database has no tables yet. Run `flask db upgrade` first.")
    return str(revision)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
