"""One lock a job, over all processes: whoever holds it does the job.

A process that is killed loses its locks with its connection. One that is paused (a frozen machine,
a network that is cut) loses them after `IDLE_SECONDS`, because it shows no life; when it goes on
it may finish the part that it was in beside the new holder. So a part of a job is short, and what
it does stands in transactions that bear a second runner (a letter is claimed before it is sent).
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
def held(job: str) -> Iterator[bool]:
    """Try to take the lock of a job, without waiting, and hold it inside.

    :return: whether it is ours. It ends with the process, however that ends.
    """
    with _in_database(job) if postgresql() else _in_file(job) as ours:
        yield ours


@contextlib.contextmanager
def _in_database(job: str) -> Iterator[bool]:
    """Hold an advisory lock in a transaction of its own; that works behind PgBouncer too."""
    key = int.from_bytes(hashlib.sha256(f"vaultr/job/{job}".encode()).digest()[:8], signed=True)
    with _closed_whatever_became_of_it(db.engine.connect()) as connection:
        limit = f"SET LOCAL idle_in_transaction_session_timeout = {int(IDLE_SECONDS * 1000)}"
        connection.execute(sa.text(limit))
        lock = sa.text("SELECT pg_try_advisory_xact_lock(:key)")
        ours: bool = connection.execute(lock, {"key": key}).scalar_one()
        with _kept_up(connection) if ours else contextlib.nullcontext():
            yield ours


@contextlib.contextmanager
def _closed_whatever_became_of_it(connection: sa.Connection) -> Iterator[sa.Connection]:
    """Return the connection back; if the database has ended it meanwhile, the lock went with it."""
    try:
        yield connection
    finally:
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            connection.close()


@contextlib.contextmanager
def _kept_up(connection: sa.Connection) -> Iterator[None]:
    """Show the database now and then that this process is alive, from a thread of its own."""
    done = threading.Event()

    def show_life() -> None:
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            while not done.wait(IDLE_SECONDS / 4):
                connection.execute(sa.text("SELECT 1"))

    thread = threading.Thread(target=show_life, name="vaultr-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()  # the connection is not for two


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
