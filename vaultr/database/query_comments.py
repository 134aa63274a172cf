"""Append the request id to statements, as a comment that PostgreSQL shows and logs.

``pg_stat_activity`` then shows which request holds a lock, and the server's log of slow statements
which request was slow. Prepared texts do not vary: only EXECUTE has the comment.
"""

from typing import Any

import sqlalchemy as sa

from vaultr.request_context import NOWHERE, current_origin


def tagged(statement: str) -> str:
    """Append the request id (letters, digits, ``._-``); outside of a request nothing is added."""
    origin = current_origin()
    if origin is NOWHERE:
        return statement
    return f"{statement} /*request_id='{origin.request_id}'*/"


def listen(engine: sa.Engine) -> None:
    """Tag what runs on ``engine``; call it after `prepared_statements.listen`."""

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
