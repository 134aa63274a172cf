"""Routes for a change of the email address."""

from vaultr.api.contract import public
from vaultr.api.operation import Answer, operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import service
from vaultr.auth.errors import TokenInvalid
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.schemas import EmailIn, TokenIn
from vaultr.errors import Unprocessable
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.security.response_timing import round_response_time


@blueprint.post("/email")
@round_response_time
@operation(access="write", errors=(Unprocessable,), statuses=(202,), step_up=True)
def change_email(*, body: EmailIn) -> Answer:
    """Request a change of address; the old and the new address must both confirm by email.

    The response does not show whether another account has the address.
    """
    service.request_email_change(current_actor(), body.email)
    return Answer(None, 202)


@blueprint.post("/email/confirm")
@public
@operation(errors=(TokenInvalid, AuditUnavailable))
def confirm_email_change(*, body: TokenIn) -> None:
    """Confirm a change of address by one of its two tokens; the second one makes the change."""
    service.confirm_email_change(body.token)


@blueprint.post("/email/undo")
@public
@operation(errors=(TokenInvalid, AuditUnavailable))
def undo_email_change(*, body: TokenIn) -> None:
    """Restore the old address of an account, within 7 days; all its sessions end."""
    service.undo_email_change(body.token)
    session_cookies.delete_cookies()
