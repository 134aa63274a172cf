"""Detect statements whose rows were not read completely.

On SQLite such a statement keeps its snapshot open. The next user of the connection then sees old
data and cannot write.
"""

import sqlite3
import weakref

import sqlalchemy as sa


def watched(engine):
    """Watch an SQLite engine; return a list that collects the cursors left open."""
    left, begun = [], {}

    @sa.event.listens_for(engine, "after_cursor_execute")
    def _begun(connection, cursor, statement, *_):
        held = begun.setdefault(id(connection.connection.dbapi_connection), [])
        held.append((weakref.ref(cursor), statement))

    @sa.event.listens_for(engine, "checkin")
    def _returned(dbapi_connection, _record):
        for cursor, statement in begun.pop(id(dbapi_connection), ()):
            if (still_there := cursor()) is not None and _has_rows(still_there):
                left.append(statement)

    return left


def _has_rows(cursor):
    try:
        return cursor.fetchone() is not None
    except sqlite3.ProgrammingError:  # the cursor was closed
        return False
