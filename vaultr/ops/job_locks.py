"""One lock for each job, across all processes: only its holder runs the job.

A killed process loses its locks with its connection. A paused process (frozen machine, broken
network) loses them after `IDLE_SECONDS` without a keep-alive; when it resumes, it may finish its
current part while the new holder runs. So the parts of a job are short, and their transactions
tolerate a second runner (for example, an email is claimed before it is sent).
"""

import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from vaultr.database.session import db, postgresql

IDLE_SECONDS: Final = 60.0


@contextlib.contextmanager
def job_lock(job: str) -> Iterator[bool]:
    """Try to take the lock of a job without waiting, and hold it inside the block.

    :return: whether this process took the lock. The lock ends with the process, even if the process
        is killed.
    """
    with _in_database(job) if postgresql() else _in_file(job) as acquired:
        yield acquired


@contextlib.contextmanager
def _in_database(job: str) -> Iterator[bool]:
    """Hold an advisory lock in a transaction, which also works behind PgBouncer."""
    key = int.from_bytes(hashlib.sha256(f"vaultr/job/{job}".encode()).digest()[:8], signed=True)
    with _closing(db.engine.connect()) as connection:
        limit = f"SET LOCAL idle_in_transaction_session_timeout = {int(IDLE_SECONDS * 1000)}"
        connection.execute(sa.text(limit))
        lock = sa.text("SELECT pg_try_advisory_xact_lock(:key)")
        acquired: bool = connection.execute(lock, {"key": key}).scalar_one()
        with _keep_alive(connection) if acquired else contextlib.nullcontext():
            yield acquired


@contextlib.contextmanager
def _closing(connection: sa.Connection) -> Iterator[sa.Connection]:
    """Close the connection; if the database has already closed it, the lock has ended too."""
    try:
        yield connection
    finally:
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            connection.close()


@contextlib.contextmanager
def _keep_alive(connection: sa.Connection) -> Iterator[None]:
    """Keep the connection alive in a thread, so that the database keeps the lock."""
    ended = threading.Event()

    def show_life() -> None:
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            while not ended.wait(IDLE_SECONDS / 4):
                connection.execute(sa.text("SELECT 1"))

    thread = threading.Thread(target=show_life, name="vaultr-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()  # a connection must not be used by two threads


@contextlib.contextmanager
def _in_file(job: str) -> Iterator[bool]:
    """Hold a lock on a file beside the SQLite database."""
    path = f"{db.engine.url.database}.{job}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
