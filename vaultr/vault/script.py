"""Statements kept ready, and several in one round trip: a write holds its lock for a short time."""

import functools
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.database.schema import Utc
from vaultr.database.session import postgresql

# By the name of a parameter or column; whole numbers and texts need no type.
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    **dict.fromkeys(("id", "vault_id", "item_id", "account_id", "author_id"), sa.Uuid()),
    **dict.fromkeys(("audit_event_id", "holder_id", "sid", "account"), sa.Uuid()),
    **dict.fromkeys(("head", "prev", "content", "vouch", "mac"), sa.LargeBinary()),
    **dict.fromkeys(("overview", "detail", "sealed_key"), sa.LargeBinary()),
    **dict.fromkeys(("now", "created_at", "updated_at"), Utc()),
    "rotating": sa.Boolean(),
}
_PARAMETER = re.compile(r"(?<!:):(\w+)")


def per_database(make: Callable[..., Any]) -> Callable[..., Any]:
    """Make a statement once for each of the two databases, and for each list of arguments."""
    made: dict[Any, Any] = {}

    @functools.wraps(make)
    def give(*arguments: Hashable) -> Any:
        key = (postgresql(), *arguments)
        if key not in made:
            made[key] = make(*arguments)
        return made[key]

    return give


class Script:
    """Statements that belong together; the result is the last one's.

    PostgreSQL takes them as one text, and so in one round trip; each sees what the ones before it
    did, and what others had committed by the time it began. SQLite takes them one by one.

    :param locks: statements that go before them on PostgreSQL. SQLite needs none: BEGIN IMMEDIATE
        has locked everything.
    """

    def __init__(self, *statements: str, locks: tuple[str, ...] = ()) -> None:
        self._joined = _typed("; ".join((*locks, *statements)))
        self._apart = [_typed(statement) for statement in statements]

    def run(self, session: Session, values: Mapping[str, Any]) -> sa.CursorResult[Any]:
        """Run all of them; ``values`` may hold more than they ask for."""
        connection = session.connection()
        if postgresql():
            return connection.execute(self._joined, values)
        for statement in self._apart[:-1]:
            connection.execute(statement, values)
        return connection.execute(self._apart[-1], values)


def _typed(text: str) -> Any:
    names = {*_PARAMETER.findall(text)} & _TYPES.keys()
    bound = [sa.bindparam(name, type_=_TYPES[name]) for name in names]
    # A result's column `item_content` is of the type of `content`.
    columns = {f"{prefix}{name}": kind for name, kind in _TYPES.items() for prefix in ("", "item_")}
    return sa.text(text).bindparams(*bound).columns(**columns)
