"""Routes of the session list."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from vaultr.api import pagination
from vaultr.api.operation import operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import service
from vaultr.auth.responses import SessionOut, SessionsOut
from vaultr.auth.routes.blueprint import blueprint
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.wire.field_types import Page

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@blueprint.get("/sessions")
@operation()
def list_sessions(*, query: Page) -> SessionsOut:
    """List the live sessions of the account, newest first."""
    actor = current_actor()
    purpose = f"sessions:{actor.account_id}"
    found, more = service.list_sessions(
        actor, after=_position(pagination.read(purpose, query.cursor)), limit=query.limit
    )
    sessions = [SessionOut.of(session, current=session.id == actor.session_id) for session in found]
    cursor = None
    if more:
        microseconds = (found[-1].created_at - _EPOCH) // _MICROSECOND
        cursor = pagination.write(purpose, microseconds, str(found[-1].id))
    return SessionsOut(sessions=sessions, next_cursor=cursor)


@blueprint.delete("/sessions/<uuid:session_id>")
@operation(access="write", errors=(AuditUnavailable,))
def revoke_session(session_id: UUID) -> None:
    """End one session of the account; its next request fails."""
    actor = current_actor()
    service.revoke_session(actor, session_id)
    if session_id == actor.session_id:
        session_cookies.delete_cookies()


@blueprint.post("/logout-all")
@operation(access="write", errors=(AuditUnavailable,), step_up=True)
def logout_all() -> None:
    """End all sessions of the account, including this one."""
    service.log_out_all(current_actor())
    session_cookies.delete_cookies()


def _position(parts: Sequence[str | int] | None) -> tuple[datetime, UUID] | None:
    """Return start and id of the session in a cursor."""
    if parts is None:
        return None
    microseconds, session_id = parts
    return _EPOCH + int(microseconds) * _MICROSECOND, UUID(str(session_id))
