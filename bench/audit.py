"""`make bench`: the audit log, compared with plain inserts, bare reads and bare hashing.

Each case is a ratio from one round: 16 writers with audit against the same transaction with a plain
insert, the sequencer against those writers, a proof against a bare read of one row, and
`flask audit verify` against a loop that reads the same rows and computes the same hashes.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
import sqlalchemy as sa
from flask import Flask, Response

from bench.table import print_ratios
from tests import factories
from tests.harness import app_fixtures, audit_rows, servers
from vaultr.app import create_app
from vaultr.audit import chain, sequencer, service
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent, AuditLeaf
from vaultr.audit.verification import run
from vaultr.database.session import db, reading, transaction
from vaultr.protocol import merkle
from vaultr.protocol.merkle import Frontier
from vaultr.security import keyring
from vaultr.settings.model import Settings

WRITERS = (1, 4, 16)
PROCESSES = 2
PROOFS = 200
BODY = b"x" * 300
READ = (
    "SELECT e.prev_hash, e.body, e.mac, l.idx, l.subject_tag, l.subject_seq, l.subject_prev"
    " FROM audit_leaf l JOIN audit_event e ON e.event_id = l.event_id ORDER BY l.epoch, l.idx"
)


def main() -> None:
    """Measure all cases, or run as a process that a case starts."""
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load (3)")
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="number of events (1,000,000)"
    )
    parser.add_argument("--part", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part(*options.part)
        return
    with tempfile.TemporaryDirectory() as folder, servers.postgres(own=True, durable=True) as one:
        bench = AuditBench(Path(folder), one.url, options.events, options.seconds)
        rows = [row for _ in range(options.rounds) for row in bench.round()]
    print_ratios(rows)


class AuditBench:
    """A log of many events, and a database with writers."""

    def __init__(self, folder: Path, url: str, events: int, seconds: float) -> None:
        self._seconds = seconds
        self._many = self._environ(folder / "many", servers.fresh_database(url))
        self._busy = self._environ(folder / "busy", servers.fresh_database(url))
        print(f"recording and sequencing {events:,} events …", file=sys.stderr)
        with self._app(self._many).app_context():
            audit_rows.fill(events)
            began = time.monotonic()
            while sequencer.sequence():
                pass
            self._sequenced = events / (time.monotonic() - began)
            sequencer.SIGN_SECONDS = 0.0
            sequencer.sequence()
            with db.engine.connect() as connection:
                auto = connection.execution_options(isolation_level="AUTOCOMMIT")
                auto.execute(sa.text("VACUUM ANALYZE"))
            db.engine.dispose()
        with self._app(self._busy).app_context(), db.engine.begin() as connection:
            for table in ("bench_business", "bench_plain"):
                connection.execute(sa.text(f"CREATE TABLE {table} (id uuid PRIMARY KEY, b bytea)"))

    def _environ(self, home: Path, url: str) -> dict[str, str]:
        home.mkdir()
        return app_fixtures.environ_for(home, DATABASE_URL=f"{url}?pool_size=20")

    def _app(self, environ: dict[str, str]) -> Flask:
        return app_fixtures.built(environ)

    def round(self) -> list[tuple[str, str, float]]:
        """Measure each case once: name, goal and ratio."""
        found, rate = [], 0.0
        for writers in WRITERS:
            with self._sequencer():
                rate = self._writes("audit", writers)
                plain = self._writes("plain", writers)
            name = f"{writers} writers with audit / with a plain insert"
            found.append((name, "≥ 0.7", rate / plain))
        found.append(("sequencer / events of 16 writers", "≥ 2", self._sequenced / rate))
        found.append(("time of a proof / of a bare read", "≤ 20", self._part("proof", self._many)))
        verify, memory = self._part("verify", self._many)
        loop = self._part("loop", self._many)
        found.append(("verify / bare reads and hashes", "≥ 0.5", loop / verify))
        found.append(("memory of verify, MiB", "< 200", memory))
        return found

    @contextlib.contextmanager
    def _sequencer(self):
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "worker", "--only", "audit"]
        process = subprocess.Popen(command, env=os.environ | self._busy)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)

    def _writes(self, kind: str, writers: int) -> float:
        each = min(PROCESSES, writers)
        threads = writers // each
        started = [
            self._start("write", self._busy, kind, threads, self._seconds) for _ in range(each)
        ]
        return sum(json.loads(process.communicate()[0]) for process in started)

    def _start(self, name: str, environ: dict[str, str], *arguments) -> subprocess.Popen:
        words = [name, *map(str, arguments)]
        command = [sys.executable, "-m", "bench.audit", "--part", *words]
        return subprocess.Popen(
            command, env=os.environ | environ, stdout=subprocess.PIPE, text=True
        )

    def _part(self, name: str, environ: dict[str, str]):
        return json.loads(self._start(name, environ).communicate()[0].splitlines()[-1])


def part(name: str, *arguments: str) -> None:
    """Run one measurement in this process, and print the result as JSON."""
    app = create_app(Settings.from_environ(os.environ))
    with app.app_context():
        measured = {"write": write, "proof": proof, "verify": verify, "loop": loop}[name]
        result = measured(app, *arguments)
        db.engine.dispose()
    print(json.dumps(result))


def write(app: Flask, kind: str, threads: str, seconds: str) -> float:
    """Write with this many threads; return the transactions per second."""
    done = [0] * int(threads)
    deadline = time.monotonic() + 0.5 + float(seconds)

    def repeat(at: int) -> None:
        with app.app_context():
            while time.monotonic() < deadline:
                _write_once(kind)
                done[at] += time.monotonic() >= deadline - float(seconds)

    running = [threading.Thread(target=repeat, args=(at,)) for at in range(int(threads))]
    for process in running:
        process.start()
    for process in running:
        process.join()
    return sum(done) / float(seconds)


def _write_once(kind: str) -> None:
    account = uuid4()
    values = {"id": account, "b": BODY}
    with transaction() as session:
        session.execute(sa.text("INSERT INTO bench_business VALUES (:id, :b)"), values)
        if kind == "audit":
            service.record(Event.ITEM_WRITE, account_id=account, obj={"kind": "vault"})
        else:
            session.execute(sa.text("INSERT INTO bench_plain VALUES (:id, :b)"), values)


def proof(app: Flask) -> float:
    """Compare a request for a proof with a bare view that reads one row."""
    session = factories.session(factories.owner("ann@example.org"))
    with reading() as found:
        leaf = sa.select(AuditLeaf.event_id).order_by(AuditLeaf.idx).offset(12_345).limit(1)
        event_id = found.scalar(leaf)
        subject = found.scalar(sa.select(AuditEvent.sub).where(AuditEvent.event_id == event_id))
    _set_subject(event_id, str(session.account_id))  # so that this account may request the proof
    bare = _bare(str(db.engine.url.render_as_string(hide_password=False)))
    with reading() as found:
        number = found.scalar(sa.select(sa.func.count(AuditLeaf.idx)))
    path = f"/api/v1/audit/events/{event_id}/proof"
    ours = _seconds(app, path, session.headers)
    bare_seconds = _seconds(bare, f"/row/{event_id}", {})
    _set_subject(event_id, subject)
    print(f"a proof among {number:,} leaves takes {1000 * ours:.2f} ms", file=sys.stderr)
    return ours / bare_seconds


def _set_subject(event_id: UUID, subject: str) -> None:
    with transaction() as work:
        change = sa.update(AuditEvent).where(AuditEvent.event_id == event_id)
        work.execute(change.values(sub=subject))


def _bare(url: str) -> Flask:
    app = Flask("bare", static_folder=None)
    connection = psycopg2.connect(url.replace("+psycopg2", "").partition("?")[0])
    connection.autocommit = True

    @app.get("/row/<uuid:event_id>")
    def row(event_id: UUID) -> Response:
        with connection.cursor() as cursor:
            query = "SELECT body, prev_hash, mac FROM audit_event WHERE event_id = %s"
            cursor.execute(query, (str(event_id),))
            body, prev, mac = map(bytes, cursor.fetchone())
        shown = {"body": body.decode(), "prev": prev.hex(), "mac": mac.hex()}
        return Response(json.dumps(shown), mimetype="application/json")

    return app


def _seconds(app: Flask, path: str, headers: dict[str, str]) -> float:
    client, times = app.test_client(), []
    for _ in range(PROOFS):
        began = time.monotonic()
        response = client.get(path, headers=headers)
        times.append(time.monotonic() - began)
        assert response.status_code == 200, response.data
    return statistics.median(times)


def verify(_app: Flask) -> tuple[float, float]:
    """Verify the log; return the CPU seconds and the memory in MiB."""
    began = time.process_time()
    found, _ = run.verify(run.Options(keys=keyring.current().audit.keys.by_id))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"exit code {found.exit_code} after {found.events:,} events", file=sys.stderr)
    return time.process_time() - began, peak


def loop(_app: Flask) -> float:
    """Read the same rows and compute the same hashes; return the CPU seconds."""
    began, edge = time.process_time(), Frontier()
    key = keyring.current().audit.current
    driver = db.engine.raw_connection()
    with driver.cursor("rows") as cursor:
        cursor.itersize = 5000
        cursor.execute(READ)
        for prev, body, mac, idx, tag, seq, last in cursor:
            read = bytes(body)
            json.loads(read)
            chain.link(key, bytes(prev), read)
            event_hash = merkle.event_hash(bytes(prev), read, bytes(mac))
            data = merkle.leaf_bytes(idx, event_hash, bytes(tag), seq, bytes(last))
            edge.append(merkle.leaf_hash(data))
    driver.close()
    return time.process_time() - began


if __name__ == "__main__":
    main()
