"""Second factors over HTTP: an authenticator app, and recovery codes."""

from collections.abc import Sequence

from vaultr.api.operation import Answer, operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import second_factors
from vaultr.auth.responses import FactorOut, RecoveryCodesOut, TotpOut
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.schemas import TotpIn
from vaultr.auth.second_factors import Listed
from vaultr.errors import Conflict, NotFound, Unprocessable
from vaultr.request_context import current_actor


@blueprint.post("/totp")
@operation(
    errors=(Conflict, AuditUnavailable),
    step_up=True,
    returns_secret=True,
    returns=TotpOut,
    statuses=(201,),
)
def begin_totp() -> Answer:
    """Draw the secret of an authenticator app, which is shown this once.

    Nobody is asked for its codes until one was confirmed; asked again, another secret replaces
    it. With a confirmed one there it is refused: remove that first.
    """
    begun = second_factors.begin_totp(current_actor())
    return Answer(TotpOut(secret=begun.secret, uri=begun.uri), 201)


@blueprint.post("/totp/confirm")
@operation(errors=(Conflict, Unprocessable, AuditUnavailable), step_up=True, returns_secret=True)
def confirm_totp(*, body: TotpIn) -> RecoveryCodesOut:
    """Ask for the app's codes from now on, and get ten recovery codes.

    The code that confirms is used up: the next one signs in.
    """
    return RecoveryCodesOut(recovery_codes=second_factors.confirm_totp(current_actor(), body.code))


@blueprint.delete("/totp")
@operation(errors=(NotFound, AuditUnavailable), step_up=True)
def remove_totp() -> None:
    """Remove the authenticator app, and the recovery codes with it."""
    second_factors.remove_totp(current_actor())


@blueprint.post("/recovery-codes")
@operation(errors=(Conflict, AuditUnavailable), step_up=True, returns_secret=True)
def renew_recovery_codes() -> RecoveryCodesOut:
    """Get ten new recovery codes; the old ones are void."""
    return RecoveryCodesOut(recovery_codes=second_factors.renew_codes(current_actor()))


def factors_out(listed: Sequence[Listed]) -> list[FactorOut]:
    """Show the factors of an account to its owner."""
    return [FactorOut(kind=one.kind, created_at=one.created_at, left=one.left) for one in listed]
