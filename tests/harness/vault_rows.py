"""Read the database rows of vaults directly; match errors by slug."""

from contextlib import contextmanager

import sqlalchemy as sa

from tests import factories
from vaultr.database.session import db, transaction
from vaultr.vault.models import ENTRIES, ITEMS, REMOVED, VAULT_KEYS, VAULTS, VERSIONS

TABLES = (VAULTS, VAULT_KEYS, ITEMS, VERSIONS, REMOVED, ENTRIES)


def everything(app):
    """Return all rows of vault tables, and the recorded writes."""
    with app.app_context(), transaction() as session:
        tables = {table.name: _sorted(session.execute(sa.select(table))) for table in TABLES}
    writes = [
        event
        for event in factories.events(app)
        if event["typ"].startswith(("vault.", "item.write"))
    ]
    return tables, writes


@contextmanager
def unchanged(app):
    """Check that the block changes no vault."""
    before = everything(app)
    yield
    assert everything(app) == before


def rows(app, table, **where):
    """Return the rows of one table whose columns have these values."""
    chosen = [table.c[name] == value for name, value in where.items()]
    with app.app_context(), transaction() as session:
        return session.execute(sa.select(table).where(*chosen)).all()


def change(app, table, **values):
    """Set columns in all rows of a table."""
    with app.app_context(), transaction() as session:
        session.execute(sa.update(table).values(**values))
    with app.app_context():
        db.session.remove()


def reads(app):
    """Return the items in each recorded read."""
    return [e["obj"]["items"] for e in factories.events(app) if e["typ"] == "item.read"]


def assert_problem(response, status, slug):
    """Check that the response is this error."""
    reported = (response.status_code, response.json["type"].removeprefix("urn:vaultr:problem:"))
    assert reported == (status, slug), response.json
    return response.json


def _sorted(found):
    return sorted((tuple(row) for row in found), key=repr)
