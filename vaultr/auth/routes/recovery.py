"""Routes of the recovery key and of account recovery."""

from vaultr.api.contract import public
from vaultr.api.operation import Answer, operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import service
from vaultr.auth.credential_schemas import RecoveredIn, RecoveryKeyIn, RecoveryProofIn
from vaultr.auth.errors import (
    KdfRejected,
    Locked,
    RecoveryPending,
    StaleRevision,
    TokenInvalid,
    WrapsDiffer,
)
from vaultr.auth.recovery.responses import RecoveryOut
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.schemas import EmailIn, TokenIn
from vaultr.errors import NotFound
from vaultr.extensions import limiter
from vaultr.protocol.sizes import REWRAP_BODY_BYTES, REWRAP_KEYS
from vaultr.ratelimit import middleware
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.security.response_timing import round_response_time
from vaultr.wire.sealed_fields import NotSealed


@blueprint.put("/recovery-key")
@operation(access="write", errors=(NotSealed, StaleRevision, AuditUnavailable), step_up=True)
def put_recovery_key(*, body: RecoveryKeyIn) -> None:
    """Store a recovery key; it replaces an existing one."""
    service.put_recovery_key(current_actor(), body)


@blueprint.delete("/recovery-key")
@operation(access="write", errors=(NotFound, AuditUnavailable), step_up=True)
def remove_recovery_key() -> None:
    """Remove the recovery key, and end a recovery with it."""
    service.remove_recovery_key(current_actor())


@blueprint.post("/recover")
@limiter.limit(middleware.by_address(lambda settings: settings.limit_signup))
@public
@round_response_time
@operation(statuses=(202,))
def recover(*, body: EmailIn) -> Answer:
    """Email a recovery token, valid for 72 hours.

    The response does not show whether the address has an account.
    """
    service.request_recovery(body.email)
    return Answer(None, 202)


@blueprint.post("/recover/start")
@public
@operation(errors=(TokenInvalid, Locked, AuditUnavailable))
def start_recovery(*, body: RecoveryProofIn) -> RecoveryOut:
    """Start the wait of 24 hours, or show when it ends; the owner receives an email.

    After the wait, the response also has what is needed to complete the recovery.
    """
    return RecoveryOut.of(service.start_recovery(body))


@blueprint.post("/recover/complete")
@limiter.limit(middleware.by_address(lambda settings: settings.limit_signup))  # for the large body
@public
@operation(
    errors=(
        TokenInvalid,
        RecoveryPending,
        Locked,
        KdfRejected,
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
    service.complete_recovery(body)
    session_cookies.delete_cookies()


@blueprint.post("/recover/cancel")
@public
@operation(errors=(TokenInvalid, AuditUnavailable))
def cancel_recovery_by_token(*, body: TokenIn) -> None:
    """End a recovery by its emailed token, and the recovery key if it was used."""
    service.cancel_recovery_by_token(body.token)


@blueprint.delete("/recover")
@operation(access="write", errors=(NotFound, AuditUnavailable))
def cancel_recovery() -> None:
    """End the running recovery, and the recovery key if it was used."""
    service.cancel_recovery(current_actor())
