"""Routes of the recovery key and of account recovery."""

import re
from typing import Final

from pydantic import ValidationError

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
from vaultr.errors import BadRequest, FieldError, NotFound
from vaultr.extensions import limiter
from vaultr.protocol.sizes import REWRAP_BODY_BYTES, REWRAP_KEYS
from vaultr.ratelimit import middleware
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.security.response_timing import round_response_time
from vaultr.wire.field_types import NotSealed


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

    After the wait, the response also contains the data to complete the recovery.
    """
    return RecoveryOut.of(service.start_recovery(body))


_PROOF: Final = re.compile(
    rb"""\s*\{\s*"(token|rk_auth)"\s*:\s*"([\w-]*)"\s*,\s*"(token|rk_auth)"\s*:\s*"([\w-]*)"\s*,"""
)


def prove_recovery(first: bytes) -> None:
    """Check token and recovery key, which a large body must begin with.

    :raises BadRequest: it does not begin with these two members.
    """
    found = _PROOF.match(first)
    names = {} if found is None else {found[1].decode(): found[2], found[3].decode(): found[4]}
    try:
        proof = RecoveryProofIn.model_validate({name: names[name].decode() for name in names})
    except ValidationError:
        why = "A body above 1 MiB must begin with the members token and rk_auth."
        raise BadRequest(why, errors=[FieldError("", why)]) from None
    service.prove_recovery(proof)


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
    prove=prove_recovery,
)
def complete_recovery(*, body: RecoveredIn) -> None:
    """Set new credentials under a new account key; all sessions and the recovery key end.

    A body above 1 MiB must begin with `token` and `rk_auth`, so that only an owner sends one.
    """
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
