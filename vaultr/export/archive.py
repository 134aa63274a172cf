"""Write `vaultr-export/1`: one JSON document, from one snapshot, with one record per line.

Each line is a record or one of a few fixed texts, so a reader needs no incremental JSON parser; see
docs/export-archive.md.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from vaultr.app_state import AppSlot
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import service as auth
from vaultr.database.session import db, postgresql, transaction
from vaultr.errors import Busy
from vaultr.export.errors import ExportRunning
from vaultr.machines import service as machines
from vaultr.observability import logs
from vaultr.request_context import Actor
from vaultr.settings.model import Settings
from vaultr.vault import service as vault

FORMAT: Final = "vaultr-export/1"
MOST_SECONDS: Final = 600.0
# Small records are sent together; a large one is sent alone.
CHUNK_CHARACTERS: Final = 65_536


class ExportTooLong(Exception):
    """An export took longer than ten minutes, so its document is incomplete."""


class _Running:
    """The accounts whose exports this process runs; each occupies a thread and a connection."""

    def __init__(self, app: Flask, most: int) -> None:
        self.app = app
        self._most = most
        self._lock = threading.Lock()
        self._accounts: set[UUID] = set()

    def enter(self, account_id: UUID) -> None:
        with self._lock:
            if account_id in self._accounts:
                raise ExportRunning
            if len(self._accounts) >= self._most:
                raise Busy("Too many exports are running. Try again later.", retry_after=60)
            self._accounts.add(account_id)

    def leave(self, account_id: UUID) -> None:
        with self._lock:
            self._accounts.discard(account_id)


_RUNNING: Final = AppSlot[_Running]("export.running")


def init_app(app: Flask, settings: Settings) -> None:
    """Limit the concurrent exports of a process, so that they do not occupy all its threads."""
    _RUNNING.set(app, _Running(app, max(1, settings.web_threads // 8)))


class Archive:
    """One export: an iterator over the parts of its document, from one snapshot.

    It is iterated once, outside of the request, so each part is created in an app context.
    """

    def __init__(self, account_id: UUID) -> None:
        self._account_id = account_id
        self._running = _RUNNING.get()
        self._end = time.monotonic() + MOST_SECONDS
        self._closed = False
        self._connection: sa.Connection | None = None
        self._running.enter(account_id)
        try:
            self._work = self._begin()
        except BaseException:
            self.close()
            raise
        self._parts = self._make_parts()

    def _begin(self) -> Session:
        """Open the snapshot. On PostgreSQL its transaction also holds the lock of the account."""
        connection = self._connection = db.engine.connect()
        if postgresql():
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            digest = hashlib.sha256(b"vaultr/export" + self._account_id.bytes).digest()
            lock = sa.text("SELECT pg_try_advisory_xact_lock(:number)")
            number = int.from_bytes(digest[:8], signed=True)
            if not connection.execute(lock, {"number": number}).scalar_one():
                raise ExportRunning
        else:
            connection.execute(sa.text("SELECT 1 FROM accounts LIMIT 1")).all()
        return Session(bind=connection, autoflush=False)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next part of the document.

        :raises ExportTooLong: the export took ten minutes.
        """
        try:
            with self._running.app.app_context():
                return next(self._parts)
        except StopIteration:
            self.close()
            raise
        except Exception as error:
            self.close()
            logs.failure("export.ended", error)
            raise

    def close(self) -> None:
        """End the snapshot, and allow another export of the account."""
        if self._closed:
            return
        self._closed = True
        if self._connection is not None:
            self._connection.close()
        self._running.leave(self._account_id)

    def _make_parts(self) -> Iterator[str]:
        lines: list[str] = []
        size = 0
        for line in self._lines():
            lines.append(line)
            size += len(line)
            if size >= CHUNK_CHARACTERS:
                yield "".join(lines)
                lines, size = [], 0
            if time.monotonic() > self._end:
                raise ExportTooLong
        yield "".join(lines)

    def _lines(self) -> Iterator[str]:
        work, account_id = self._work, self._account_id
        account, key_set = auth.archive_account(work, account_id)
        yield f'{{"format":"{FORMAT}",\n'
        yield f'"account":{_json(account)},\n"key_set":{key_set},\n'
        yield '"sessions":[\n'
        yield from _records(map(_json, auth.archive_sessions(work, account_id)))
        yield '],\n"machines":[\n'
        yield from _records(machines.archive_machines(work, account_id))
        yield '],\n"vaults":[\n'
        between = ""
        for shown, kinds in vault.archive_vaults(work, account_id):
            yield between + shown[:-1]
            for name, records in kinds.items():
                yield f',"{name}":[\n'
                yield from _records(records)
                yield "]"
            between = "},\n"
        yield ("}\n" if between else "") + '],\n"audit":[\n'
        yield from _records(audit.archive_events(work, account_id))
        yield "]}\n"


def open_archive(actor: Actor) -> Archive:
    """Open the archive of the actor's account, and record that it was read.

    :raises ExportRunning: another export of the account is running.
    :raises Busy: this process runs the maximum number of exports.
    :raises AuditUnavailable: the event cannot be recorded, so nothing is returned.
    """
    archive = Archive(actor.account_id)
    try:
        with transaction():
            obj = {"kind": "export", "format": FORMAT}
            audit.record(Event.EXPORT_READ, account_id=actor.account_id, obj=obj)
    except BaseException:
        archive.close()
        raise
    return archive


def _records(records: Iterable[str]) -> Iterator[str]:
    """Yield each record as a line, with a comma after all but the last."""
    last = None
    for record in records:
        if last is not None:
            yield f"{last},\n"
        last = record
    if last is not None:
        yield f"{last}\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
