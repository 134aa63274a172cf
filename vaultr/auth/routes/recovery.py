"""The recovery key and recovering an account, over HTTP."""

from vaultr.api.contract import public
from vaultr.api.operation import Answer, operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import recovery_key
from vaultr.auth.credential_schemas import RecoveredIn, RecoveryKeyIn, RecoveryProofIn
from vaultr.auth.errors import (
    KdfRefused,
    Locked,
    RecoveryPending,
    StaleRevision,
    TokenInvalid,
    WrapsDiffer,
)
from vaultr.auth.recovery import flow, tokens
from vaultr.auth.recovery.responses import RecoveryOut
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.schemas import EmailIn, TokenIn
from vaultr.errors import NotFound
from vaultr.extensions import limiter
from vaultr.protocol.sizes import REWRAP_BODY_BYTES, REWRAP_KEYS
from vaultr.ratelimit import middleware
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.security.response_timing import evenly
from vaultr.wire.sealed_fields import NotSealed


@blueprint.put("/recovery-key")
@operation(errors=(NotSealed, StaleRevision, AuditUnavailable), step_up=True)
def put_recovery_key(*, body: RecoveryKeyIn) -> None:
    """Keep a recovery key in the place of one that may be there."""
    recovery_key.put(current_actor(), body)


@blueprint.delete("/recovery-key")
@operation(errors=(NotFound, AuditUnavailable), step_up=True)
def remove_recovery_key() -> None:
    """Remove the recovery key, and end a recovery that it was used for."""
    recovery_key.remove(current_actor())


@blueprint.post("/recover")
@limiter.limit(middleware.by_address(lambda settings: settings.limit_signup))
@public
@evenly
@operation(statuses=(202,))
def recover(*, body: EmailIn) -> Answer:
    """Mail a token to recover an account with, good for 72 hours.

    The answer is always alike, whether the address has an account or not.
    """
    tokens.ask(body.email)
    return Answer(None, 202)


@blueprint.post("/recover/start")
@public
@operation(errors=(TokenInvalid, Locked, AuditUnavailable))
def start_recovery(*, body: RecoveryProofIn) -> RecoveryOut:
    """Start the wait of 24 hours, or ask how long it is; the owner is told.

    Asked again after it, the answer also has what is needed to complete.
    """
    return RecoveryOut.of(flow.start(body))


@blueprint.post("/recover/complete")
@limiter.limit(middleware.by_address(lambda settings: settings.limit_signup))  # its body is large
@public
@operation(
    errors=(
        TokenInvalid,
        RecoveryPending,
        Locked,
        KdfRefused,
        NotSealed,
        StaleRevision,
        WrapsDiffer,
        AuditUnavailable,
    ),
    body_bytes=REWRAP_BODY_BYTES,
    max_keys=REWRAP_KEYS,
)
def complete_recovery(*, body: RecoveredIn) -> None:
    """Set new credentials under a new account key; all sessions and the recovery key end."""
    flow.complete(body)
    session_cookies.take_back()


@blueprint.post("/recover/cancel")
@public
@operation(errors=(TokenInvalid, AuditUnavailable))
def cancel_recovery_by_token(*, body: TokenIn) -> None:
    """End a recovery by its mailed token, and the recovery key if it was used."""
    tokens.cancel_by_token(body.token)


@blueprint.delete("/recover")
@operation(errors=(NotFound, AuditUnavailable))
def cancel_recovery() -> None:
    """End the recovery that is under way, and the recovery key that was used."""
    tokens.cancel(current_actor())
