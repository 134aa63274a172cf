"""Record the last backup, the last restore drill, and the last activity of a worker."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from vaultr import clock
from vaultr.database.session import reading, transaction
from vaultr.ops.models import Milestone


class RunKind(StrEnum):
    """The kinds of events that are recorded."""

    BACKUP_MADE = "backup-made"
    BACKUP_VERIFIED = "backup-verified"
    DRILL = "drill"
    WORKER_SEEN = "worker-seen"


@dataclass(frozen=True, slots=True)
class LastRun:
    """The time of the last run of one kind, and facts about the run."""

    at: datetime
    facts: Mapping[str, Any]

    @property
    def age_seconds(self) -> float:
        """Return the seconds since then."""
        return (clock.now() - self.at).total_seconds()


def note(kind: RunKind, facts: Mapping[str, Any], *, at: datetime | None = None) -> None:
    """Record that something happened (by default now); never overwrite a later time.

    :param facts: such as ``{"file": …, "seconds": …, "rows": …, "revision": …}``; no secrets.
    """
    moment = at or clock.now()
    values = {"kind": kind.value, "at": moment, "facts": json.dumps(dict(facts))}
    statement = sa.text(
        "INSERT INTO milestones (kind, reached_at, facts) VALUES (:kind, :at, :facts)"
        " ON CONFLICT (kind) DO UPDATE SET reached_at = :at, facts = :facts"
        " WHERE milestones.reached_at <= :at"
    ).bindparams(sa.bindparam("at", type_=Milestone.reached_at.type))
    with transaction() as work:
        work.execute(statement, values)


def last(kind: RunKind) -> LastRun | None:
    """Return the last run of a kind, or None if there was none yet."""
    with reading() as work:
        row = work.get(Milestone, kind.value)
        return LastRun(row.reached_at, json.loads(row.facts)) if row is not None else None
