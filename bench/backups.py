"""`make bench`: backups, compared with `pg_dump`, `pg_restore` and a loop with the same hashes.

Each case is a ratio from one round, on one database with many items, versions and audit events.
`bench.audit` measures the check of the audit log after a restore.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from flask import Flask
from psycopg2.extras import execute_values

from bench.table import print_ratios
from tests.harness import app_fixtures, audit_rows, backups, bulk_rows, servers
from vaultr.app import create_app
from vaultr.audit import sequencer
from vaultr.database import schema_version
from vaultr.database.session import db, reading
from vaultr.protocol.entries import Entry, Op, first_head, head_of
from vaultr.settings.model import Settings
from vaultr.vault import service as vault

COLUMNS = (
    "vault_id, n, prev, op, item_id, content_revision, content, generation, author_id, vouch, mac"
)
LINKED = (
    "UPDATE entries e SET prev = d.prev, head = d.head FROM (VALUES %s) d (vault_id, n, prev, head)"
    " WHERE e.vault_id = d.vault_id AND e.n = d.n"
)
PAGE = 2000
POLL_SECONDS = 0.05
Row = tuple[str, str, float]


def main() -> None:
    """Measure all cases, or run as a process that a case starts."""
    parser = argparse.ArgumentParser(prog="python -m bench.backups", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (3)")
    parser.add_argument("--items", type=int, default=100_000, help="items in one vault (100,000)")
    parser.add_argument("--events", type=int, default=1_000_000, help="audit events (1,000,000)")
    parser.add_argument("--part", choices=("check", "loop"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(part(check if options.part == "check" else loop)))
        return
    with tempfile.TemporaryDirectory() as folder, servers.postgres(own=True, durable=True) as one:
        bench = BackupBench(Path(folder), one.url, options.items, options.events)
        rows = [row for _ in range(options.rounds) for row in bench.round()]
    print_ratios(rows)


class BackupBench:
    """A database to back up, and a server to restore into."""

    def __init__(self, folder: Path, url: str, items: int, events: int) -> None:
        self._folder, self._server = folder, url
        self._database = servers.fresh_database(url)
        identity, recipient = backups.new_identity(folder)
        self._environ = os.environ | app_fixtures.environ_for(
            folder,
            DATABASE_URL=self._database,
            BACKUP_RECIPIENT=recipient,
            BACKUP_IDENTITY_FILE=str(identity),
            BACKUP_LOCATION=str(folder / "backups"),
        )
        self._environ["PATH"] = backups.path_with_programs()
        (folder / "backups").mkdir()
        print(f"storing {items:,} items and {events:,} audit events …", file=sys.stderr)
        app = app_fixtures.built(self._environ)
        bulk_rows.fill(app, items=items, accounts=0)
        with app.app_context():
            link_entries()
            audit_rows.fill(events)
            while sequencer.sequence():
                pass
            with db.engine.begin() as connection:
                connection.execute(sa.text("CREATE TABLE alembic_version (version_num text)"))
                newest = {"revision": schema_version.known()[-1]}
                connection.execute(
                    sa.text("INSERT INTO alembic_version VALUES (:revision)"), newest
                )
            with db.engine.connect() as connection:
                auto = connection.execution_options(isolation_level="AUTOCOMMIT")
                auto.execute(sa.text("VACUUM ANALYZE"))
            db.engine.dispose()

    def round(self) -> Iterator[Row]:
        """Measure each case once: name, goal and ratio."""
        dump = self._folder / "plain.dump"
        source = self._database
        dumped, _ = self._timed("pg_dump", "--format=custom", f"--file={dump}", source)
        created, memory = self._timed(*self._flask("create"))
        yield "create / pg_dump", "≤ 1.5", created / dumped
        yield "memory of create, MiB", "< 200", memory
        target = servers.fresh_database(self._server)
        loaded, _ = self._timed("pg_restore", f"--dbname={target}", "--no-owner", str(dump))
        servers.drop_database(target)
        newest = max((self._folder / "backups").glob("vaultr-*.tar.age"))
        target = servers.fresh_database(self._server)
        restored, memory = self._timed(*self._flask("restore", str(newest), "--into", target))
        servers.drop_database(target)
        yield "restore with digests / pg_restore", "≤ 2", restored / loaded
        yield "memory of restore, MiB", "< 200", memory
        checked, memory = self._part("check")
        yield (
            "check of vault logs / bare reads and hashes",
            "≥ 0.5",
            self._part("loop")[0] / checked,
        )
        yield "memory of this check, MiB", "< 200", memory

    def _flask(self, *words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "flask", "--app", "wsgi", "backup", *words)

    def _timed(self, *command: str) -> tuple[float, float]:
        """Run a command; return its seconds, and its maximum memory in MiB."""
        began, memory = time.monotonic(), 0.0
        process = subprocess.Popen(command, env=self._environ, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            memory = max(memory, most_memory(process.pid))
            time.sleep(POLL_SECONDS)
        if process.returncode:
            raise RuntimeError(f"{command[0]} failed with exit code {process.returncode}")
        return time.monotonic() - began, memory

    def _part(self, name: str) -> tuple[float, float]:
        command = [sys.executable, "-m", "bench.backups", "--part", name]
        done = subprocess.run(command, env=self._environ, stdout=subprocess.PIPE, check=True)
        seconds, memory = json.loads(done.stdout.splitlines()[-1])
        return seconds, memory


def most_memory(process_id: int) -> float:
    """Return the maximum memory that a process has used so far, in MiB; 0 if it has ended.

    ``ru_maxrss`` is not suitable: a child starts with the peak of its parent.
    """
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{process_id}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def part(measure: Callable[[Flask], None]) -> tuple[float, float]:
    """Run one measurement; return the CPU seconds, and the memory of this process in MiB."""
    app = create_app(Settings.from_environ(os.environ))
    with app.app_context():
        began = time.process_time()
        measure(app)
        seconds = time.process_time() - began
        db.engine.dispose()
    return seconds, most_memory(os.getpid())


def check(_app: Flask) -> None:
    """Check the logs of all vaults, as `verify` does."""
    with reading() as session:
        broken = list(vault.broken_logs(session))
    if broken:
        raise RuntimeError(broken[0])


def loop(_app: Flask) -> None:
    """Read the same rows, and compute the same hashes."""
    for _ in _heads():
        pass


def _heads() -> Iterator[tuple[UUID, int, bytes, bytes]]:
    """Yield vault, number, previous and own head of all entries, in linked order."""
    driver = db.engine.raw_connection()
    last: dict[str, bytes] = {}
    with driver.cursor("entries") as cursor:
        cursor.itersize = PAGE
        cursor.execute(f"SELECT {COLUMNS} FROM entries ORDER BY vault_id, n")
        for row in cursor:
            vault_id, n, _, op, item, content_revision, content, generation, author, *macs = row
            owner = UUID(str(vault_id))
            prev = last.get(vault_id) or first_head(owner)
            item_id, author_id = item and UUID(str(item)), UUID(str(author))
            entry = Entry(
                owner, n, prev, Op(op), item_id, content_revision, bytes(content), generation,
                author_id, bytes(macs[0]),
            )  # fmt: skip
            last[vault_id] = head_of(entry, bytes(macs[1]))
            yield owner, n, prev, last[vault_id]
    driver.close()


def link_entries() -> None:
    """Link the log of each vault from entry to entry up to its head."""
    linked = [(str(owner), n, prev, head) for owner, n, prev, head in _heads()]
    driver = db.engine.raw_connection()
    with driver.cursor() as cursor:
        template = "(%s::uuid, %s::bigint, %s, %s)"
        execute_values(cursor, LINKED, linked, template, page_size=PAGE)
        cursor.execute(
            "UPDATE vaults v SET head = e.head FROM entries e"
            " WHERE e.vault_id = v.id AND e.n = v.revision"
        )
    driver.commit()
    driver.close()


if __name__ == "__main__":
    main()
