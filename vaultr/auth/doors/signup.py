"""Signing up over HTTP."""

from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import signup
from vaultr.auth.doors.blueprint import blueprint
from vaultr.auth.errors import KdfRefused, TokenInvalid
from vaultr.auth.evenly import evenly
from vaultr.auth.schemas import ResendIn, SignupIn, TokenIn
from vaultr.ciphertext import NotSealed
from vaultr.extensions import limiter
from vaultr.identity.door import public
from vaultr.limits import blanket
from vaultr.operation import Answer, operation


@blueprint.post("/signup")
@limiter.limit(blanket.by_address(lambda settings: settings.limit_signup))
@public
@evenly
@operation(refuses=(KdfRefused, NotSealed), statuses=(202,))
def sign_up(*, body: SignupIn) -> Answer:
    """Ask for an account; it begins when the mail is confirmed.

    The answer is always alike. Up to 5 signups may wait for one address, 24 hours each; the first
    confirmed wins. An owner who has an account already gets a notice instead.
    """
    signup.sign_up(body)
    return Answer(None, 202)


@blueprint.post("/verify-email")
@public
@operation(refuses=(TokenInvalid, AuditUnavailable))
def verify_email(*, body: TokenIn) -> None:
    """Confirm a signup by the token from its mail: this makes the account."""
    signup.confirm(body.token)


@blueprint.post("/resend-verification")
@limiter.limit(blanket.by_address(lambda settings: settings.limit_signup))
@public
@evenly
@operation(statuses=(202,))
def resend_verification(*, body: ResendIn) -> Answer:
    """Mail a new token for a waiting signup; the old one is void.

    The answer is always alike, whether such a signup waits or not.
    """
    signup.resend(body)
    return Answer(None, 202)
