"""Which request a statement belongs to, as a comment that PostgreSQL shows and logs with it.

``pg_stat_activity`` then names the request that holds a lock, and the server's log of slow
statements the one that was slow. What is prepared once stays so: only EXECUTE carries the comment.
"""

from typing import Any

import sqlalchemy as sa

from vaultr.request_context import NOWHERE, current_origin


def tagged(statement: str) -> str:
    """Add the id of the request (letters, digits, ``._-``); outside of one nothing is added."""
    origin = current_origin()
    if origin is NOWHERE:
        return statement
    return f"{statement} /*request_id='{origin.request_id}'*/"


def listen(engine: sa.Engine) -> None:
    """Tag what runs on ``engine``; to be called after `plans.listen`, which looks at the text."""

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
