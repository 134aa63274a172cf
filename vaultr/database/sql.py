"""Plain SQL whose ids and times both databases take: SQLite knows neither."""

import functools
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from vaultr.database import raw_driver
from vaultr.database.base import Utc
from vaultr.database.raw_driver import Rows
from vaultr.database.session import one_statement, postgresql

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")


def typed(text: str, kinds: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.TextClause:
    """Make a statement whose parameters have the types that ``kinds`` gives to their names."""
    names = {*_PARAMETER.findall(text)} & kinds.keys()
    return sa.text(text).bindparams(*(sa.bindparam(name, type_=kinds[name]) for name in names))


# By the name of a parameter; SQLite knows neither ids nor times.
_TYPES: Final[dict[str, sa.types.TypeEngine[Any]]] = {
    **dict.fromkeys(("vault_id", "item_id", "author_id", "audit_event_id"), sa.Uuid()),
    **dict.fromkeys(("sid", "account", "after"), sa.Uuid()),
    "now": Utc(),
}
_DRIVER: Final = make_url("postgresql+psycopg2://").get_dialect()


class Script:
    """Statements that belong together; the result is the last one's, as the driver gives it.

    PostgreSQL takes them as one text, and so in one round trip; each sees what the ones before it
    did, and what others had committed by the time it began. SQLite takes them one by one. Going
    past SQLAlchemy's expressions and types saves a tenth of a millisecond a script.

    :param locks: statements that go before them on PostgreSQL. SQLite needs none: BEGIN IMMEDIATE
        has locked everything.
    :ivar driver_text: all of them, as psycopg2 takes them.
    """

    def __init__(self, *statements: str, locks: tuple[str, ...] = ()) -> None:
        joined = sa.text("; ".join((*locks, *statements)))
        self.driver_text = str(joined.compile(dialect=_DRIVER()))
        self._apart = [typed(statement, _TYPES) for statement in statements]

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> Rows:
        """Run all of them; ``values`` may hold more than they ask for.

        Ids and times come back as the database keeps them: select them as text (see `rows`).
        Binary values may be memoryviews.
        """
        if connection.dialect.name == "postgresql":
            return raw_driver.within(connection, self.driver_text, values)
        for statement in self._apart[:-1]:
            connection.execute(statement, values)
        result = connection.execute(self._apart[-1], values)
        return Rows(result if result.returns_rows else ())

    def alone(self, values: Mapping[str, Any]) -> Rows:
        """Run the one statement that it must be in a transaction of its own; else as `run`."""
        if postgresql():
            return raw_driver.run(self.driver_text, values)
        with one_statement() as connection:
            return self.run(connection, values)


def per_database(make: Callable[..., Script]) -> Callable[..., Script]:
    """Make a script once for each of the two databases, and for each list of arguments."""
    made: dict[Any, Script] = {}

    @functools.wraps(make)
    def give(*arguments: Hashable) -> Script:
        key = (postgresql(), *arguments)
        if key not in made:
            made[key] = make(*arguments)
        return made[key]

    return give
