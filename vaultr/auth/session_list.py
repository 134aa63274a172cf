"""The list of an account's sessions, and their revocation by the owner."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth.account_lock import lock_account, lock_own_account
from vaultr.auth.credential_change import end_sessions
from vaultr.auth.models import Session
from vaultr.database.session import reading, transaction
from vaultr.errors import NotFound, Unauthenticated
from vaultr.request_context import Actor


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A live session; ``family`` names its client, ``network`` is its shortened address."""

    id: UUID
    device_name: str
    family: str
    network: str
    created_at: datetime
    last_used_at: datetime


def list_sessions(
    actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> tuple[list[SessionInfo], bool]:
    """Return a page of the actor's live sessions, newest first, and whether more follow.

    :param after: start and id of the last session on the previous page.
    """
    conditions = [Session.account_id == actor.account_id, Session.idle_until > clock.now()]
    if after is not None:
        last = sa.tuple_(sa.literal(after[0], Session.created_at.type), sa.literal(after[1]))
        conditions.append(sa.tuple_(Session.created_at, Session.id) < last)
    columns = (getattr(Session, name) for name in SessionInfo.__slots__)
    query = sa.select(*columns).where(*conditions)
    query = query.order_by(Session.created_at.desc(), Session.id.desc()).limit(limit + 1)
    with reading() as work:
        rows = [SessionInfo(*row) for row in work.execute(query)]
    return rows[:limit], len(rows) > limit


def revoke_session(actor: Actor, session_id: UUID) -> None:
    """End one of the actor's sessions, perhaps the current one; its next request fails.

    :raises NotFound: the account has no live session with this id.
    :raises Unauthenticated: the actor's own session ended in the meantime.
    """
    with transaction() as work:
        lock_own_account(work, actor)
        idle_until = work.execute(
            sa.delete(Session)
            .where(Session.id == session_id, Session.account_id == actor.account_id)
            .returning(Session.idle_until)
        ).scalar_one_or_none()
        if idle_until is None or idle_until <= clock.now():
            raise NotFound("This account has no live session with this id.")
        obj = {"kind": "session", "id": str(session_id)}
        audit.record(Event.SESSION_END, account_id=actor.account_id, obj=obj, reason="revoked")


def log_out_all(actor: Actor) -> None:
    """End all sessions of the account, including the current one and sessions that start now.

    A login locks the account before its session starts. So it either finished earlier and its
    session ends too, or it starts later.

    :raises Unauthenticated: the session ended in the meantime.
    """
    with transaction() as work:
        lock_account(work, actor.account_id)
        ended = end_sessions(work, actor.account_id, reason="logout-all")
        if actor.session_id not in ended:
            raise Unauthenticated
