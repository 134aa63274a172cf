"""Scratch databases to restore into: create them, drop them, and drop leftovers."""

import contextlib
import fcntl
import secrets
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from flask import Flask

from vaultr.backup.errors import TargetUnusable
from vaultr.backup.programs import Address, Loader
from vaultr.database import engine, schema_version
from vaultr.security import keyring
from vaultr.settings.model import Settings

_PREFIX: Final = "vaultr_scratch_"
_FOLDER: Final = "vaultr-scratch-"
_IN_USE: Final = "in-use"
_CONNECT_SECONDS: Final = 60  # a command connects to its scratch database within this time


@contextlib.contextmanager
def connected(url: str, **options: Any) -> Iterator[sa.Connection]:
    """Connect once, without the limits of the server's pool.

    :raises TargetUnusable: the database cannot be reached; with the reason, but without a password.
    """
    plain, _ = engine.split_url(url)
    address = sa.make_url(plain)
    if address.drivername == "postgresql":  # SQLAlchemy would look for psycopg 3
        address = address.set(drivername="postgresql+psycopg2")
    single = sa.create_engine(address, poolclass=sa.NullPool, hide_parameters=True, **options)
    try:
        connection = single.connect()
    except sa.exc.OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise TargetUnusable(
            f"The database cannot be reached: {reason}. Check its URL and password."
        ) from None
    with connection:
        yield connection


@contextlib.contextmanager
def database(settings: Settings, kind: str) -> Iterator[str]:
    """Create an empty database for a restore, and drop it afterwards; yield its URL.

    :param kind: ``postgresql`` or ``sqlite``, like the backup.
    :raises TargetUnusable: the role may not create databases.
    """
    with _of_postgresql(settings) if kind == "postgresql" else _of_sqlite() as url:
        yield url


@contextlib.contextmanager
def _of_postgresql(settings: Settings) -> Iterator[str]:
    chosen = settings.backup_scratch_url or settings.database_url
    server = chosen.get_secret_value()
    if not server.startswith("postgresql"):
        raise TargetUnusable(
            "The backup is of PostgreSQL. Set BACKUP_SCRATCH_URL to a PostgreSQL server, with a"
            " role that may create databases."
        )
    name = f"{_PREFIX}{int(time.time())}_{secrets.token_hex(6)}"
    url = sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    with connected(server, isolation_level="AUTOCOMMIT") as connection:
        _drop_leftovers(connection)
        try:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE template0')
        except sa.exc.ProgrammingError:
            raise TargetUnusable(
                "The role may not create a database to restore into. Set BACKUP_SCRATCH_URL to a"
                " PostgreSQL server with a role that may (CREATEDB)."
            ) from None
        try:
            with connected(url):  # while this command is connected, no other one drops the database
                yield url
        finally:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _drop_leftovers(connection: sa.Connection) -> None:
    """Drop the databases of killed commands, to which nobody is connected any more.

    PostgreSQL decides: without FORCE it drops no database that has connections. An advisory lock
    would not work, because it is visible only inside the database where it was taken.
    """
    names = sa.text("SELECT datname FROM pg_database WHERE datname LIKE 'vaultr\\_scratch\\_%'")
    for name in list(connection.scalars(names)):
        made = name.removeprefix(_PREFIX).partition("_")[0]
        if made.isdecimal() and time.time() - int(made) < _CONNECT_SECONDS:
            continue  # its command may not have connected yet
        with contextlib.suppress(sa.exc.DBAPIError):  # in use, or owned by another role
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}"')


@contextlib.contextmanager
def _of_sqlite() -> Iterator[str]:
    for leftover in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*/{_IN_USE}"):
        with contextlib.suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its command runs
            shutil.rmtree(leftover.parent, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=_FOLDER) as folder,
        (Path(folder) / _IN_USE).open("wb") as file,
    ):
        fcntl.flock(file, fcntl.LOCK_EX)
        yield f"sqlite:///{folder}/vaultr.sqlite3"


@contextlib.contextmanager
def loader(url: str, *, role: str | None = None) -> Iterator["Loader | SqliteLoader"]:
    """Open a database to load a dump into."""
    target = SqliteLoader(url) if url.startswith("sqlite") else Loader(Address.of(url, role=role))
    with target:
        yield target


class SqliteLoader:
    """A new SQLite file that gets its name when it is complete."""

    def __init__(self, url: str) -> None:
        self._path = Path(str(sa.make_url(url).database))
        self._partial = self._path.with_name(f".{self._path.name}.partial")

    def __enter__(self) -> "SqliteLoader":
        with self._reported():
            self._partial.touch(0o600)
            self._file = self._partial.open("wb")
        return self

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Report that this file, not the backup's location, cannot be used."""
        try:
            yield
        except OSError as error:
            raise TargetUnusable(f"{self._path} cannot be written: {error.strerror}") from None

    def write(self, piece: bytes) -> None:
        """Write the next chunk."""
        with self._reported():
            self._file.write(piece)

    def finish(self) -> None:
        """Check the file, and rename it.

        :raises TargetUnusable: it is damaged.
        """
        with self._reported():
            self._file.close()
        with contextlib.closing(sqlite3.connect(self._partial)) as connection:
            [(integrity,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if integrity != "ok" or broken is not None:
            raise TargetUnusable("The restored SQLite database is damaged. Use another backup.")
        with self._reported():
            self._partial.rename(self._path)

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):  # the write has already reported a full disk
            self._file.close()
        self._partial.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(settings: Settings, url: str) -> Iterator[None]:
    """Open an app on a restored database, with the keys of ``settings``."""
    app = Flask("vaultr", root_path=str(Path(schema_version.__file__).parents[1]))
    app.config["SETTINGS"] = settings
    changed = settings.model_copy(update={"database_url": type(settings.database_url)(url)})
    engine.init_app(app, changed)
    keyring.init_app(app, settings)
    with app.app_context():
        try:
            yield
        finally:
            for one in engine.engines(app).values():
                one.dispose()
