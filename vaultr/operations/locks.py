"""One lock a job, over all processes: whoever holds it does the job."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator

import sqlalchemy as sa

from vaultr.database.session import db, postgresql


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
    with db.engine.connect() as connection:
        # It does nothing meanwhile, for as long as the job takes.
        connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        lock = sa.text("SELECT pg_try_advisory_xact_lock(:key)")
        yield connection.execute(lock, {"key": key}).scalar_one()


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
