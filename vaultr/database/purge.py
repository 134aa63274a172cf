"""Expired rows: each feature declares which of its rows expire, and how to delete a batch."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from vaultr import clock
from vaultr.database.session import reading

Conditions = tuple[sa.ColumnElement[bool], ...]


@dataclass(frozen=True, slots=True)
class PurgeRule:
    """A rule for rows that expire.

    :ivar over: returns the conditions, one for each table, for rows expired at a moment.
    :ivar remove: deletes a batch in its own transaction, so that nobody waits long; returns
        whether there may be more.
    """

    name: str
    over: Callable[[datetime], Conditions]
    remove: Callable[[], bool]

    def count(self) -> int:
        """Count the rows that have expired."""
        counts = [sa.select(sa.func.count()).where(one) for one in self.over(clock.now())]
        with reading() as work:
            return sum(work.execute(one).scalar_one() for one in counts)
