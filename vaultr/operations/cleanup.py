"""What may go because its time is over: the worker's purges, at once, with a count of each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from vaultr import clock, idempotency
from vaultr.auth import attempts, email_change, recovery_tokens, sessions, signup
from vaultr.auth.models import (
    EmailChange,
    EmailUndo,
    Failures,
    Recovery,
    Session,
    WaitingSignup,
)
from vaultr.database.session import reading
from vaultr.idempotency import KeptAnswer
from vaultr.mail import caps, outbox
from vaultr.mail.models import Mail

Conditions = tuple[sa.ColumnElement[bool], ...]
MOST_ROUNDS = 100_000  # of a batch each; so a purge that always wants more ends at last


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


def _mails(now: datetime) -> Conditions:
    kept = max(outbox.KEEP_SENT, timedelta(seconds=caps.rate().seconds))
    sent = sa.and_(Mail.state == "sent", Mail.created_at < now - kept)
    return (sent | sa.and_(Mail.state == "dead", Mail.created_at < now - outbox.KEEP_DEAD),)


CHORES: tuple[Chore, ...] = (
    Chore("sessions", lambda now: (Session.idle_until <= now,), sessions.remove_expired),
    Chore("signups", lambda now: (WaitingSignup.expires_at <= now,), signup.remove_expired),
    Chore("recoveries", lambda now: (Recovery.expires_at <= now,), recovery_tokens.remove_expired),
    Chore(
        "addresses",
        lambda now: (EmailChange.expires_at <= now, EmailUndo.expires_at <= now),
        email_change.remove_expired,
    ),
    Chore(
        "answers",
        lambda now: (KeptAnswer.created_at <= now - idempotency.KEPT,),
        idempotency.remove_old,
    ),
    Chore("failures", lambda now: (Failures.failed_at < now - attempts.KEPT,), attempts.remove_old),
    Chore("mails", _mails, outbox.purge),
)


def counted() -> dict[str, int]:
    """Count what would go, by kind, and change nothing."""
    return {chore.name: chore.count() for chore in CHORES}


def done() -> dict[str, int]:
    """Remove it, batch by batch; give how many rows of each kind there were to remove."""
    removed = {}
    for chore in CHORES:
        removed[chore.name] = chore.count()
        for _ in range(MOST_ROUNDS):
            if not chore.remove():
                break
    return removed
