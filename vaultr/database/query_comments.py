"""Append the request id to statements, as a comment that PostgreSQL shows and logs.

``pg_stat_activity`` and PostgreSQL's log of slow statements then show which request sent a
statement. A prepared statement has the comment in EXECUTE only, so that the prepared text stays the
same.
"""

from typing import Any

import sqlalchemy as sa

from vaultr.request_context import NOWHERE, current_origin


def tagged(statement: str) -> str:
    """Append the request id (letters, digits, ``._-``); do nothing outside of a request."""
    origin = current_origin()
    if origin is NOWHERE:
        return statement
    return f"{statement} /*request_id='{origin.request_id}'*/"


def listen(engine: sa.Engine) -> None:
    """Tag the statements of ``engine``; call it after `prepared_statements.listen`."""

    def add(
        _connection: sa.Connection,
        _cursor: Any,
        statement: str,
        parameters: Any,
        _context: Any,
        executemany: bool,
    ) -> tuple[str, Any]:
        return statement if executemany else tagged(statement), parameters

    sa.event.listen(engine, "before_cursor_execute", add, retval=True)
