"""Signing up over HTTP."""

from vaultr.api.contract import public
from vaultr.api.operation import Answer, operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import signup
from vaultr.auth.errors import KdfRefused, TokenInvalid
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.schemas import ResendIn, SignupIn, TokenIn
from vaultr.extensions import limiter
from vaultr.ratelimit import middleware
from vaultr.security.response_timing import evenly
from vaultr.wire.sealed_fields import NotSealed


@blueprint.post("/signup")
@limiter.limit(middleware.by_address(lambda settings: settings.limit_signup))
@public
@evenly
@operation(errors=(KdfRefused, NotSealed), statuses=(202,))
def sign_up(*, body: SignupIn) -> Answer:
    """Ask for an account; it begins when the mail is confirmed.

    The answer is always alike. Up to 5 signups may wait for one address, 24 hours each; the first
    confirmed wins. An owner who has an account already gets a notice instead.
    """
    signup.sign_up(body)
    return Answer(None, 202)


@blueprint.post("/verify-email")
@public
@operation(errors=(TokenInvalid, AuditUnavailable))
def verify_email(*, body: TokenIn) -> None:
    """Confirm a signup by the token from its mail: this makes the account."""
    signup.confirm(body.token)


@blueprint.post("/resend-verification")
@limiter.limit(middleware.by_address(lambda settings: settings.limit_signup))
@public
@evenly
@operation(statuses=(202,))
def resend_verification(*, body: ResendIn) -> Answer:
    """Mail a new token for a waiting signup; the old one is void.

    The answer is always alike, whether such a signup waits or not.
    """
    signup.resend(body)
    return Answer(None, 202)
