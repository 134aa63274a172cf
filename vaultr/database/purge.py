"""Rows that end: each feature says which of its own they are, and how a batch of them goes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from vaultr import clock
from vaultr.database.session import reading

Conditions = tuple[sa.ColumnElement[bool], ...]


@dataclass(frozen=True, slots=True)
class Chore:
    """One kind of row that ends.

    :ivar over: the rows, of one table or of several, that have ended at a moment.
    :ivar remove: removes a batch in a transaction of its own, so that nobody waits long; tells
        whether more may be left.
    """

    name: str
    over: Callable[[datetime], Conditions]
    remove: Callable[[], bool]

    def count(self) -> int:
        """Count what would go now."""
        counts = [sa.select(sa.func.count()).where(one) for one in self.over(clock.now())]
        with reading() as work:
            return sum(work.execute(one).scalar_one() for one in counts)
