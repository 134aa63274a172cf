"""Routes of the account, its credentials and its profile."""

from vaultr.api.operation import Answer, operation
from vaultr.api.preconditions import precondition
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import service
from vaultr.auth.credential_schemas import CredentialsIn
from vaultr.auth.errors import KdfRejected, StaleRevision, WrapsDiffer
from vaultr.auth.recovery.responses import recovery_key_out, running_out
from vaultr.auth.responses import LimitsOut, MeOut, RevisionOut, account_out, key_set_out
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.routes.factors import factors_out
from vaultr.auth.schemas import ProfileIn
from vaultr.errors import PreconditionRequired
from vaultr.protocol.sizes import REWRAP_BODY_BYTES, REWRAP_KEYS
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.settings.model import current_settings
from vaultr.wire.field_types import NotSealed
from vaultr.wire.preconditions import etag


@blueprint.get("/me")
@operation()
def me() -> MeOut:
    """Show the account with its factors, limits, key set and recovery state."""
    owner = service.read_account(current_actor())
    settings = current_settings()
    recovery = service.recovery_state(owner.id)
    return MeOut(
        account=account_out(owner),
        factors=factors_out(service.list_factors(owner.id)),
        limits=LimitsOut.of(settings),
        key_set=key_set_out(owner),
        recovery_key=recovery_key_out(recovery),
        recovery=running_out(recovery),
    )


@blueprint.put("/profile")
@operation(
    access="write",
    errors=(NotSealed, PreconditionRequired, StaleRevision, AuditUnavailable),
    returns=RevisionOut,
)
def write_profile(*, body: ProfileIn) -> Answer:
    """Replace the sealed profile; `If-Match` names the stored revision, `revision` the next."""
    revision = service.write_profile(current_actor(), body, precondition())
    return Answer(RevisionOut(revision=revision), headers=etag(revision))


@blueprint.put("/credentials")
@operation(
    access="write",
    errors=(KdfRejected, NotSealed, StaleRevision, WrapsDiffer, AuditUnavailable),
    step_up=True,
    body_bytes=REWRAP_BODY_BYTES,
    max_keys=REWRAP_KEYS,
)
def change_credentials(*, body: CredentialsIn) -> None:
    """Replace the credentials of the master password; `rewrap` also replaces the account key.

    Epoch and profile revision must be the stored ones + 1. All other sessions end immediately. This
    session continues through its refresh token; its access token is invalid. `rewrap` must name
    each wrap of the account, and deletes the recovery key.
    """
    service.change_credentials(current_actor(), body)


@blueprint.delete("/account")
@operation(access="write", errors=(AuditUnavailable,), step_up=True)
def delete_account() -> None:
    """Delete the account with its sessions, vaults and machines; its audit events stay."""
    service.delete_account(current_actor())
    session_cookies.delete_cookies()
