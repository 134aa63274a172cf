"""Helpers for tests of backups, and a database that passes verification."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from pyrage import x25519

from tests import factories
from tests.harness import app_fixtures, audit_log, operator_fixtures, server_programs
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent
from vaultr.backup import create
from vaultr.backup.folder import Folder
from vaultr.database import schema_version
from vaultr.database.base import Base
from vaultr.database.session import transaction
from vaultr.settings.model import current_settings


def path_with_programs():
    """Return a PATH that starts with pg_dump, pg_restore and psql."""
    return f"{server_programs.postgres_clients()}:{os.environ['PATH']}"


@contextlib.contextmanager
def commands(app, folder, set_to, monkeypatch, *, recipient, identity):
    """Enter the app, with backups in ``folder``; yield a function that runs `flask backup`."""
    monkeypatch.setenv("PATH", path_with_programs())
    set_to(
        app,
        backup_location=str(folder),
        backup_recipient=recipient,
        backup_identity_file=identity,
    )
    with app.app_context():
        yield lambda *words: app.test_cli_runner().invoke(args=["backup", *words])


def fill(items=3):
    """Store an account with a vault and items; all their events are in the audit log's tree."""
    writer = factories.vault("ann@example.org")
    for number in range(items):
        writer.put(text=f"secret {number}")
    record_missing_events()
    audit_log.sequence_all()
    return writer


def record_missing_events():
    """Set the event of rows that the factories created without one to a stored event."""
    stored = sa.select(AuditEvent.event_id)
    with transaction() as session:
        event_id = audit.record(Event.ACCOUNT_CREATE, account_id=uuid4())
        for table in Base.metadata.sorted_tables:
            column = table.columns.get("audit_event_id")
            if column is not None:
                change = sa.update(table).where(column.not_in(stored))
                session.execute(change.values(audit_event_id=event_id))


@dataclass(frozen=True)
class Example:
    """A sealed backup (name and content), and the key that opens it."""

    name: str
    content: bytes
    identity: Path
    recipient: str

    def in_folder(self, folder):
        """Write the backup to a folder, and return its path."""
        path = folder / self.name
        path.write_bytes(self.content)
        return path


@pytest.fixture(scope="session")
def example(postgres_app, tmp_path_factory):
    """A backup of a filled database, created once; tests must not change it."""
    folder = tmp_path_factory.mktemp("example")
    identity, recipient = new_identity(folder)
    app_fixtures.empty(postgres_app)
    with postgres_app.app_context(), pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", path_with_programs())
        settings = current_settings().model_copy(update={"backup_recipient": recipient})
        with operator_fixtures.schema_says(postgres_app, schema_version.known()[-1]):
            fill()
            name = create.create(settings, Folder(folder)).name
    return Example(name, (folder / name).read_bytes(), identity, recipient)


def new_identity(folder, name="identity"):
    """Write a new age key to a file; return the file and its public key."""
    identity = x25519.Identity.generate()
    path = folder / name
    path.write_text(f"# a key for tests\n{identity}\n")
    path.chmod(0o600)
    return path, str(identity.to_public())
