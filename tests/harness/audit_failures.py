"""Failures of event inserts: triggers that raise an error, or drop the row silently."""

import contextlib
import secrets

import sqlalchemy as sa

from vaultr.database.session import db

ALL = ("raised", "lost", "lost pending")


@contextlib.contextmanager
def put(obstacle):
    """Make inserts of events fail until the block ends."""
    # A new name each time: an SQLite connection that has not read the schema again would use the
    # dropped trigger.
    name = f"obstacle_{secrets.token_hex(4)}"
    with db.engine.begin() as connection:
        for statement in _made(obstacle, name, connection.dialect.name):
            connection.execute(sa.text(statement))
    try:
        yield
    finally:
        db.session.rollback()
        with db.engine.begin() as connection:
            connection.execute(sa.text(_undone(obstacle, name, connection.dialect.name)))


def _table(obstacle):
    return "audit_pending" if obstacle == "lost pending" else "audit_event"


def _made(obstacle, name, dialect):
    table = _table(obstacle)
    if dialect == "sqlite":
        does = "FAIL, 'disk full'" if obstacle == "raised" else "IGNORE"
        yield (f"CREATE TRIGGER {name} BEFORE INSERT ON {table} BEGIN SELECT RAISE({does}); END")
        return
    does = "RAISE 'disk full';" if obstacle == "raised" else ""
    yield (
        "CREATE OR REPLACE FUNCTION obstacle() RETURNS trigger LANGUAGE plpgsql "
        f"AS $$ BEGIN {does} RETURN NULL; END $$"
    )
    yield (
        f"CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION obstacle()"
    )


def _undone(obstacle, name, dialect):
    return f"DROP TRIGGER {name}" + ("" if dialect == "sqlite" else f" ON {_table(obstacle)}")
