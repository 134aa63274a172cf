"""Record the SQL statements of all engines of the server."""

from contextlib import contextmanager

import sqlalchemy as sa

from vaultr.database.session import AUTOCOMMIT, db

_NOW_AND_THEN = ("FROM switches", "anchored_to IS NOT NULL", "audit_event.event_hash, EXISTS")


@contextmanager
def collected(app):
    """Collect all statements, except those that any request may occasionally run.

    Prepared statements appear with their text. Statements that bypass SQLAlchemy are not seen.
    """
    ran = []

    def note(_connection, _cursor, statement, _parameters, context, _many):
        compiled = getattr(context, "compiled", None)
        text = statement if compiled is None else compiled.string
        if not any(mark in text for mark in _NOW_AND_THEN):
            ran.append(text)

    with app.app_context():
        engines = (db.engine, AUTOCOMMIT.get(app))
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield ran
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)
