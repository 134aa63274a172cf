"""Read the database rows of vaults directly; match errors by slug."""

from contextlib import contextmanager

import sqlalchemy as sa

from tests import factories
from vaultr.database.session import db, transaction
from vaultr.vault.models import ENTRIES, ITEMS, REMOVED, VAULT_KEYS, VAULTS, VERSIONS

TABLES = (VAULTS, VAULT_KEYS, ITEMS, VERSIONS, REMOVED, ENTRIES)


def everything(app):
    """Read all tables of vaults, and which writes were recorded."""
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
    """Check that what is done inside changes no vault."""
    before = everything(app)
    yield
    assert everything(app) == before


def rows(app, table, **where):
    """Read the rows of one table in which these columns have these values."""
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
    """Return which items each recorded read names."""
    return [e["obj"]["items"] for e in factories.events(app) if e["typ"] == "item.read"]


def assert_problem(response, status, slug):
    """Return whether this is that error."""
    reported = (response.status_code, response.json["type"].removeprefix("urn:vaultr:problem:"))
    assert reported == (status, slug), response.json
    return response.json


def _sorted(found):
    return sorted((tuple(row) for row in found), key=repr)
