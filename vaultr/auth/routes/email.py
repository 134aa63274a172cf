"""Changing the mail address over HTTP."""

from vaultr.api.contract import public
from vaultr.api.operation import Answer, operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import email_change
from vaultr.auth.errors import TokenInvalid
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.schemas import EmailIn, TokenIn
from vaultr.errors import Unprocessable
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.security.response_timing import evenly


@blueprint.post("/email")
@evenly
@operation(errors=(Unprocessable,), statuses=(202,), step_up=True)
def change_email(*, body: EmailIn) -> Answer:
    """Ask for another address; both the old and the new one have to confirm by mail.

    The answer is alike whether another account has the address or not.
    """
    email_change.ask(current_actor(), body.email)
    return Answer(None, 202)


@blueprint.post("/email/confirm")
@public
@operation(errors=(TokenInvalid, AuditUnavailable))
def confirm_email_change(*, body: TokenIn) -> None:
    """Agree to a change of address by one of its two tokens; the second one makes it."""
    email_change.confirm(body.token)


@blueprint.post("/email/undo")
@public
@operation(errors=(TokenInvalid, AuditUnavailable))
def undo_email_change(*, body: TokenIn) -> None:
    """Give an account its old address back, within 7 days; all its sessions end."""
    email_change.undo(body.token)
    session_cookies.take_back()
