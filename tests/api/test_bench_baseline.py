"""The baseline of `make bench`, which runs the statements of the server."""

import pytest

from bench import baseline
from tests import factories
from vaultr.audit.models import AuditEvent
from vaultr.database.session import db
from vaultr.vault.models import Item


@pytest.fixture
def bare(here, monkeypatch):
    """Return a client of the baseline on the database of the app."""
    dsn = db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("BASELINE_DSN", dsn)
    yield baseline.app.test_client()
    baseline.connection().close()
    del baseline._local.connection


@pytest.mark.postgresql_only
def test_baseline_runs_the_statements_of_the_server(bare):
    vault = factories.vault()
    item = factories.item(vault)
    events = db.session.query(AuditEvent).count()

    replaced = bare.put(f"/put/{vault.id}/{vault.author_id}/{item.id}")
    pages = [
        bare.get(f"/row/{vault.id}/{item.id}"),
        bare.get(f"/rows/{vault.id}?after=0&limit=10"),
        bare.get(f"/overviews/{vault.id}?limit=10"),
    ]

    assert [one.status_code for one in (replaced, *pages)] == [200] * 4
    db.session.rollback()
    assert db.session.query(AuditEvent).count() == events + 1
    assert db.session.get(Item, (item.vault_id, item.id)).revision == item.revision + 1
