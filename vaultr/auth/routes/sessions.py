"""The list of sessions over HTTP, and how they are ended from elsewhere."""

from uuid import UUID

from vaultr.api.operation import operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import session_list
from vaultr.auth.responses import SessionOut, SessionsOut
from vaultr.auth.routes.blueprint import blueprint
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.wire.field_types import Page


@blueprint.get("/sessions")
@operation()
def list_sessions(*, query: Page) -> SessionsOut:
    """List the account's live sessions, the newest first."""
    actor = current_actor()
    found, cursor = session_list.sessions_of(actor, cursor=query.cursor, limit=query.limit)
    shown = [SessionOut.of(one, current=one.id == actor.session_id) for one in found]
    return SessionsOut(sessions=shown, next_cursor=cursor)


@blueprint.delete("/sessions/<uuid:session_id>")
@operation(errors=(AuditUnavailable,))
def revoke_session(session_id: UUID) -> None:
    """End one session of the account; it is dead at its next request."""
    actor = current_actor()
    session_list.revoke(actor, session_id)
    if session_id == actor.session_id:
        session_cookies.take_back()


@blueprint.post("/logout-all")
@operation(errors=(AuditUnavailable,), step_up=True)
def logout_all() -> None:
    """End all sessions of the account, this one too."""
    session_list.end_all(current_actor())
    session_cookies.take_back()
