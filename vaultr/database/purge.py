"""Expired rows: each feature declares which rows expire, and how to delete a batch of them."""

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

    :ivar expired: takes a time; returns one SQL condition for each table, which selects the rows
        that have expired by then.
    :ivar remove: deletes a batch of rows in its own transaction, which keeps locks short; returns
        whether more rows may be left.
    """

    name: str
    expired: Callable[[datetime], Conditions]
    remove: Callable[[], bool]

    def count(self) -> int:
        """Count the rows that have expired."""
        conditions = self.expired(clock.now())
        counts = [sa.select(sa.func.count()).where(condition) for condition in conditions]
        with reading() as work:
            return sum(work.execute(count).scalar_one() for count in counts)
