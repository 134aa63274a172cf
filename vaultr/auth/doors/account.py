"""The account and its profile over HTTP."""

from flask import current_app

from vaultr.actor import current_actor
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import profile
from vaultr.auth.doors.blueprint import blueprint
from vaultr.auth.errors import ProfileMoved
from vaultr.auth.schemas import ProfileIn
from vaultr.auth.views import LimitsOut, MeOut, RevisionOut, account_out, key_set_out
from vaultr.ciphertext import NotSealed
from vaultr.conditional import precondition
from vaultr.errors import PreconditionRequired
from vaultr.operation import Answer, operation
from vaultr.settings import Settings


@blueprint.get("/me")
@operation()
def me() -> MeOut:
    """Show the account, its factors, its limits and its key set."""
    owner = profile.me(current_actor())
    settings: Settings = current_app.config["SETTINGS"]
    return MeOut(
        account=account_out(owner),
        factors=[],
        limits=LimitsOut.of(settings),
        key_set=key_set_out(owner),
    )


@blueprint.put("/profile")
@operation(
    refuses=(NotSealed, PreconditionRequired, ProfileMoved, AuditUnavailable), answers=RevisionOut
)
def write_profile(*, body: ProfileIn) -> Answer:
    """Replace the sealed profile; `If-Match` names the stored revision, `revision` the next."""
    revision = profile.write_profile(current_actor(), body, precondition())
    return Answer(RevisionOut(revision=revision), headers={"ETag": f'"{revision}"'})
