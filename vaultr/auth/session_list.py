"""The sessions of an account, as its owner sees them, and how they are ended from elsewhere."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from vaultr import clock
from vaultr.api import pagination
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth.account_lock import lock_account, lock_own
from vaultr.auth.credential_change import end_sessions
from vaultr.auth.models import Session
from vaultr.database.session import reading, transaction
from vaultr.errors import NotFound, Unauthenticated
from vaultr.request_context import Actor

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Listed:
    """A live session; ``family`` is a word for its client, ``network`` its address cut short."""

    id: UUID
    device_name: str
    family: str
    network: str
    created_at: datetime
    last_used_at: datetime


def sessions_of(actor: Actor, *, cursor: str | None, limit: int) -> tuple[list[Listed], str | None]:
    """Give a page of the actor's live sessions, the newest first, and the cursor of the next.

    :raises BadRequest: the cursor was not given out for this list.
    """
    purpose = f"sessions:{actor.account_id}"
    after = pagination.read(purpose, cursor)
    chosen = [Session.account_id == actor.account_id, Session.idle_until > clock.now()]
    if after is not None:
        moment = _EPOCH + int(after[0]) * _MICROSECOND
        last = sa.tuple_(
            sa.literal(moment, Session.created_at.type), sa.literal(UUID(str(after[1])))
        )
        chosen.append(sa.tuple_(Session.created_at, Session.id) < last)
    columns = (getattr(Session, name) for name in Listed.__slots__)
    query = (
        sa.select(*columns).where(*chosen).order_by(Session.created_at.desc(), Session.id.desc())
    )
    with reading() as work:
        rows = [Listed(*row) for row in work.execute(query.limit(limit + 1))]
    if len(rows) <= limit:
        return rows, None
    end = rows[limit - 1]
    place = (end.created_at - _EPOCH) // _MICROSECOND
    return rows[:limit], pagination.write(purpose, place, str(end.id))


def revoke(actor: Actor, session_id: UUID) -> None:
    """End one of the actor's sessions, perhaps this one; it is dead at its next request.

    :raises NotFound: there is no such session, or it is another account's, or it has ended.
    :raises Unauthenticated: the actor's own session ended in the meantime.
    """
    with transaction() as work:
        lock_own(work, actor)
        gone = work.execute(
            sa.delete(Session)
            .where(Session.id == session_id, Session.account_id == actor.account_id)
            .returning(Session.idle_until)
        ).scalar_one_or_none()
        if gone is None or gone <= clock.now():
            raise NotFound("No live session of this account has this id.")
        told = {"kind": "session", "id": str(session_id)}
        audit.record(Event.SESSION_END, account_id=actor.account_id, obj=told, reason="revoked")


def end_all(actor: Actor) -> None:
    """End all sessions of the account, this one too; of parallel ones that begin none is missed.

    A login locks the account before its session begins: it is over before this, and its session
    goes too, or it begins after it.

    :raises Unauthenticated: the session ended in the meantime.
    """
    with transaction() as work:
        lock_account(work, actor.account_id)
        gone = end_sessions(work, actor.account_id, reason="logout-all")
        if actor.session_id not in gone:
            raise Unauthenticated
