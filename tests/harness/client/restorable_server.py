"""A real server whose database is dumped, and later restored from the dump."""

import contextlib
import os
import sqlite3
import subprocess
from pathlib import Path

from tests.harness import server_programs, servers


@contextlib.contextmanager
def stopped(site):
    """Run a block while the server is down."""
    site.__exit__(None, None, None)
    try:
        yield
    finally:
        site.__enter__()


class SqliteDump:
    """The database file of `make run`, copied by SQLite itself."""

    def __init__(self, site, folder):
        self._site, self._copy = site, folder / "backup.sqlite3"
        with (
            contextlib.closing(sqlite3.connect(site.database)) as source,
            contextlib.closing(sqlite3.connect(self._copy)) as target,
        ):
            source.backup(target)

    def restore(self):
        with stopped(self._site):
            for file in self._site.database.parent.glob(f"{self._site.database.name}*"):
                file.unlink()
            self._site.database.write_bytes(self._copy.read_bytes())


class PostgresDump:
    """A dump of PostgreSQL by pg_dump."""

    def __init__(self, site, folder, url):
        self._site, self._file = site, folder / "backup.dump"
        self._url = url
        self._run("pg_dump", "--format=custom", "--file", str(self._file), url)

    def restore(self):
        with stopped(self._site):
            self._run(
                *("pg_restore", "--clean", "--if-exists", "--exit-on-error"),
                *("--dbname", self._url, str(self._file)),
            )

    def _run(self, program, *arguments):
        # Use the server's own programs, which have the same version.
        found = next(each for each in postgres_programs(self._file.parent) if has(each, program))
        subprocess.run(
            [found / program, *arguments], check=True, capture_output=True, env=os.environ
        )


def has(folder, program):
    return (Path(folder) / program).exists()


def postgres_programs(folder):
    with servers.scratch("vaultr-programs-") as scratch:
        yield from server_programs._postgres_programs(scratch)
