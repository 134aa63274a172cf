"""What an operator sees of the outbox, never to whom or what; and another chance for the dead."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import sqlalchemy as sa

from vaultr import clock
from vaultr.database.session import reading, transaction
from vaultr.mail import worker_wakeup
from vaultr.mail.models import Mail

State = Literal["waiting", "dead", "sent"]
MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """A letter as it may be shown.

    :ivar reason: what its last try met, such as ``smtp-550``, ``no-server`` or
        ``outcome-unknown``; None if there was none.
    """

    id: UUID
    kind: str
    state: str
    tries: int
    created_at: datetime
    next_try_at: datetime | None
    reason: str | None


def listed(states: Sequence[State], *, limit: int, after: UUID | None = None) -> list[Listed]:
    """List the letters in these states, the oldest first, at most ``limit``.

    By id, which begins with the time: so a page goes on from a letter that is gone meanwhile, too.

    :param after: the last id of the page before.
    """
    columns = (
        Mail.id, Mail.kind, Mail.state, Mail.tries, Mail.created_at, Mail.next_try_at, Mail.reason,
    )  # fmt: skip
    found = sa.select(*columns).where(Mail.state.in_(states)).order_by(Mail.id)
    if after is not None:
        found = found.where(Mail.id > after)
    with reading() as session:
        rows = session.execute(found.limit(limit)).all()
    return [
        Listed(
            row.id,
            row.kind,
            row.state,
            row.tries,
            row.created_at,
            row.next_try_at if row.state == "waiting" else None,
            row.reason,
        )
        for row in rows
    ]


def retry(ids: Sequence[UUID] | None = None) -> list[UUID]:
    """Let dead letters be tried anew, from now on and as often as new ones.

    One of unknown outcome may arrive twice then. One that waits is tried at once.

    :param ids: which; None for all that are dead.
    :return: those that wait now; others were sent, or are no longer kept.
    """
    chosen = Mail.state == "dead" if ids is None else Mail.id.in_(ids)
    now = clock.now()
    with transaction() as session:
        changed = session.execute(
            sa.update(Mail)
            .where(chosen, Mail.state.in_(("dead", "waiting")), Mail.sealed.is_not(None))
            .where(sa.or_(Mail.state == "dead", Mail.handed_over_at.is_(None)))
            .values(
                state="waiting", next_try_at=now, handed_over_at=None, reason=None,
                tries=sa.case((Mail.state == "dead", 0), else_=Mail.tries),
            )
            .returning(Mail.id)
            .execution_options(synchronize_session=False)
        )  # fmt: skip
        again = [row.id for row in changed]
        worker_wakeup.after_transaction(session)
    return again
