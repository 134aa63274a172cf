"""The account and its profile over HTTP."""

from vaultr.api.operation import Answer, operation
from vaultr.api.preconditions import precondition
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import account_deletion, credential_change, profile, recovery_key, second_factors
from vaultr.auth.credential_schemas import CredentialsIn
from vaultr.auth.errors import KdfRefused, StaleRevision, WrapsDiffer
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
from vaultr.wire.sealed_fields import NotSealed


@blueprint.get("/me")
@operation()
def me() -> MeOut:
    """Show the account, its factors, limits and key set, and how it could be recovered."""
    owner = profile.me(current_actor())
    settings = current_settings()
    standing = recovery_key.standing(owner.id)
    return MeOut(
        account=account_out(owner),
        factors=factors_out(second_factors.listed(owner.id)),
        limits=LimitsOut.of(settings),
        key_set=key_set_out(owner),
        recovery_key=recovery_key_out(standing),
        recovery=running_out(standing),
    )


@blueprint.put("/profile")
@operation(
    errors=(NotSealed, PreconditionRequired, StaleRevision, AuditUnavailable), returns=RevisionOut
)
def write_profile(*, body: ProfileIn) -> Answer:
    """Replace the sealed profile; `If-Match` names the stored revision, `revision` the next."""
    revision = profile.write_profile(current_actor(), body, precondition())
    return Answer(RevisionOut(revision=revision), headers={"ETag": f'"{revision}"'})


@blueprint.put("/credentials")
@operation(
    errors=(KdfRefused, NotSealed, StaleRevision, WrapsDiffer, AuditUnavailable),
    step_up=True,
    body_bytes=REWRAP_BODY_BYTES,
    max_keys=REWRAP_KEYS,
)
def change_credentials(*, body: CredentialsIn) -> None:
    """Replace the master password's credentials, and with `rewrap` the account key too.

    Epoch and profile revision must be the stored ones + 1. All other sessions are dead at once;
    this one goes on by its refresh token, while its access token is void. With `rewrap`, which
    must name every wrap there is, the recovery key ends.
    """
    credential_change.change(current_actor(), body)


@blueprint.delete("/account")
@operation(errors=(AuditUnavailable,), step_up=True)
def delete_account() -> None:
    """Delete the account with its sessions, vaults and machines; what was recorded stays."""
    account_deletion.delete_account(current_actor())
    session_cookies.take_back()
