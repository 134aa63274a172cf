"""The log verifies unchanged in a copy of its rows on any database."""

import subprocess
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests.harness import app_fixtures, audit_log, servers
from tests.harness.client import restorable_server
from tests.harness.servers import run_sql
from vaultr.audit import retention, service, state_file, transaction_hooks
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent
from vaultr.audit.verification import run
from vaultr.database.base import Fact
from vaultr.database.session import db, reading, transaction
from vaultr.security import keyring

ANN = UUID(int=1)
SAID = "Grüße, 東京, \N{PILE OF POO}, i\N{COMBINING DOT ABOVE}"
DETAIL = {"AUDIT_DETAIL": "on", "AUDIT_RETENTION_MONTHS": "1"}


def build(home, **more):
    home.mkdir(exist_ok=True)
    return app_fixtures.built(app_fixtures.environ_for(home, **more, **DETAIL))


def record():
    obj = {"kind": "vault", "id": str(uuid4()), "says": SAID}
    with transaction():
        service.record(Event.VAULT_RENAME, account_id=ANN, obj=obj)


def verify():
    keys = keyring.current().audit.keys.by_id
    return run.verify(run.Options(keys=keys, anchors=[state_file.read()], cross=True))


@pytest.fixture
def origin(postgres_url, tmp_path):
    """A log of three months, with the oldest tree pruned."""
    app = build(tmp_path / "home", DATABASE_URL=servers.fresh_database(postgres_url))
    app.home = tmp_path / "home"
    with app.app_context(), time_machine.travel("2026-03-20T12:00:00Z") as traveller:
        for moment in ("2026-01-10T12:00:00Z", "2026-02-10T12:00:00Z", "2026-03-20T12:00:00Z"):
            traveller.move_to(moment)
            record()
            record()
            audit_log.sequence_all()
        assert retention.prune(by="ann") == [1]
        audit_log.sequence_all()
        yield app
        db.engine.dispose()


def elsewhere(url):
    """Create a database with another collation and time zone."""
    [(icu,)] = run_sql(url, "SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i'")
    locale = "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'" if icu else "LC_COLLATE 'POSIX'"
    name = f"elsewhere_{uuid4().hex}"
    run_sql(url, f"CREATE DATABASE {name} TEMPLATE template0 {locale}")
    run_sql(url, f"ALTER DATABASE {name} SET timezone TO 'Asia/Kathmandu'")
    run_sql(url, f"ALTER DATABASE {name} SET datestyle TO 'German'")
    return f"{url.rpartition('/')[0]}/{name}"


def program(name, folder, *arguments):
    found = next(
        each
        for each in restorable_server.postgres_programs(folder)
        if restorable_server.has(each, name)
    )
    subprocess.run([found / name, *arguments], check=True, capture_output=True)


def copied(origin, other):
    """Check that another app's log verifies and is the same."""
    with origin.app_context():
        found, state = verify()
    with other.app_context():
        again, same = verify()
        transaction_hooks.pool().forget()
        record()
        audit_log.sequence_all()
        grown, _ = verify()
        db.engine.dispose()
    assert (found.exit_code, again.exit_code, grown.exit_code) == (0, 0, 0), again.listed
    assert (again.events, same) == (found.events, state)


@pytest.mark.long
def test_dump_restored_elsewhere_verifies_unchanged(origin, tmp_path):
    url, file = str(db.engine.url.render_as_string(hide_password=False)), tmp_path / "dump"
    target = elsewhere(url := url.replace("+psycopg2", "").partition("?")[0])
    program("pg_dump", tmp_path, "--format=custom", "--file", file, url)
    program("pg_restore", tmp_path, "--exit-on-error", "--no-owner", "--dbname", target, file)
    other = build(tmp_path / "other", DATABASE_URL=target)
    (tmp_path / "other" / "audit-state").write_text(state_file.read())

    copied(origin, other)


def test_rows_copied_to_sqlite_verify_unchanged(origin, tmp_path):
    tables = [one for one in db.metadata.sorted_tables if one.name.startswith("audit_")]
    with reading() as session:
        rows = {
            one: [dict(row) for row in session.execute(sa.select(one)).mappings()]
            for one in [*tables, Fact.__table__]
        }
        events = session.scalar(sa.select(sa.func.count(AuditEvent.event_id)))
    other = build(tmp_path / "other")
    (tmp_path / "other" / "audit-state").write_text(state_file.read())
    with other.app_context(), transaction() as session:
        for table, values in rows.items():
            if values:
                session.execute(sa.insert(table), values)
        assert session.scalar(sa.select(sa.func.count(AuditEvent.event_id))) == events

    copied(origin, other)
