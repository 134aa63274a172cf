"""Routes of second factors: authenticator app and recovery codes."""

from collections.abc import Sequence

from vaultr.api.operation import Answer, operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import service
from vaultr.auth.responses import FactorOut, RecoveryCodesOut, TotpOut
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.schemas import TotpIn
from vaultr.auth.second_factors import FactorInfo
from vaultr.errors import Conflict, NotFound, Unprocessable
from vaultr.request_context import current_actor


@blueprint.post("/totp")
@operation(
    access="write",
    errors=(Conflict, AuditUnavailable),
    step_up=True,
    returns_secret=True,
    returns=TotpOut,
    statuses=(201,),
)
def begin_totp() -> Answer:
    """Create the secret of an authenticator app; it is shown once.

    Logins need no code until the first one is confirmed. Another call replaces an unconfirmed
    secret. A confirmed one must be removed first; otherwise the call is rejected.
    """
    begun = service.begin_totp(current_actor())
    return Answer(TotpOut(secret=begun.secret, uri=begun.uri), 201)


@blueprint.post("/totp/confirm")
@operation(
    access="write",
    errors=(Conflict, Unprocessable, AuditUnavailable),
    step_up=True,
    returns_secret=True,
)
def confirm_totp(*, body: TotpIn) -> RecoveryCodesOut:
    """Require the app's codes from now on, and return ten recovery codes.

    The code that confirms is used up; log in with the next one.
    """
    return RecoveryCodesOut(recovery_codes=service.confirm_totp(current_actor(), body.code))


@blueprint.delete("/totp")
@operation(access="write", errors=(NotFound, AuditUnavailable), step_up=True)
def remove_totp() -> None:
    """Remove the authenticator app and the recovery codes."""
    service.remove_totp(current_actor())


@blueprint.post("/recovery-codes")
@operation(access="write", errors=(Conflict, AuditUnavailable), step_up=True, returns_secret=True)
def renew_recovery_codes() -> RecoveryCodesOut:
    """Replace all recovery codes by ten new ones."""
    return RecoveryCodesOut(recovery_codes=service.renew_recovery_codes(current_actor()))


def factors_out(listed: Sequence[FactorInfo]) -> list[FactorOut]:
    """Return the response for an account's factors."""
    return [
        FactorOut(kind=factor.kind, created_at=factor.created_at, left=factor.left)
        for factor in listed
    ]
