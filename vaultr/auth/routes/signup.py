"""Routes of signup and email confirmation."""

from vaultr.api.contract import public
from vaultr.api.operation import Answer, operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import service
from vaultr.auth.errors import KdfRejected, TokenInvalid
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.schemas import ResendIn, SignupIn, TokenIn
from vaultr.extensions import limiter
from vaultr.ratelimit import middleware
from vaultr.security.response_timing import round_response_time
from vaultr.wire.field_types import NotSealed


@blueprint.post("/signup")
@limiter.limit(middleware.by_address(lambda settings: settings.limit_signup))
@public
@round_response_time
@operation(errors=(KdfRejected, NotSealed), statuses=(202,))
def sign_up(*, body: SignupIn) -> Answer:
    """Request an account; it is created when the email is confirmed.

    The response is always the same. Up to 5 signups may wait for one address, for 24 hours each;
    the first confirmed one becomes the account. If the address has an account, its owner receives a
    notice instead.
    """
    service.sign_up(body)
    return Answer(None, 202)


@blueprint.post("/verify-email")
@public
@operation(errors=(TokenInvalid, AuditUnavailable))
def verify_email(*, body: TokenIn) -> None:
    """Confirm a signup by the token from its email; this creates the account."""
    service.confirm_signup(body.token)


@blueprint.post("/resend-verification")
@limiter.limit(middleware.by_address(lambda settings: settings.limit_signup))
@public
@round_response_time
@operation(statuses=(202,))
def resend_verification(*, body: ResendIn) -> Answer:
    """Email a new token for a waiting signup; the old one becomes invalid.

    The response does not show whether such a signup waits.
    """
    service.resend_verification(body)
    return Answer(None, 202)
