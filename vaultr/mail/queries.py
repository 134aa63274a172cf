"""List the outbox for operators, without recipients and contents, and retry emails."""

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
MAX_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An email of the outbox as an operator sees it.

    :ivar reason: the result of the last attempt, such as ``smtp-550``, ``no-server`` or
        ``outcome-unknown``; None before the first.
    """

    id: UUID
    kind: str
    state: str
    tries: int
    created_at: datetime
    next_try_at: datetime | None
    reason: str | None


def list_emails(
    states: Sequence[State], *, limit: int, after: UUID | None = None
) -> list[OutboxEntry]:
    """Return up to ``limit`` emails in the given states, oldest first.

    They are ordered by id, which begins with the time, so a page can start after a deleted email.

    :param after: the last id of the previous page.
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
        OutboxEntry(
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
    """Queue dead emails again, with all attempts; try waiting emails now.

    An email of unknown outcome may then arrive twice.

    :param ids: the emails; None for all dead ones.
    :return: the emails that wait now; the others were sent or deleted.
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
