"""Accounts and sessions over HTTP."""

from flask import Blueprint, current_app

from vaultr.actor import current_actor
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import profile, sessions, signin, signup
from vaultr.auth.errors import (
    CredentialsInvalid,
    KdfRefused,
    Locked,
    ProfileMoved,
    ProofInvalid,
    SessionEnded,
    TokenInvalid,
)
from vaultr.auth.schemas import (
    LoginIn,
    PreloginIn,
    ProfileIn,
    ProofIn,
    RefreshIn,
    SignupIn,
    TokenIn,
)
from vaultr.auth.views import (
    KdfOut,
    LimitsOut,
    LoginOut,
    MeOut,
    PreloginOut,
    RevisionOut,
    TokensOut,
    account_out,
    key_set_out,
)
from vaultr.ciphertext import NotSealed
from vaultr.conditional import precondition
from vaultr.errors import PreconditionRequired
from vaultr.extensions import limiter
from vaultr.identity.door import public
from vaultr.limits import blanket
from vaultr.operation import Answer, operation
from vaultr.settings import Settings

blueprint = Blueprint("auth", __name__, url_prefix="/api/v1/auth")


@blueprint.post("/prelogin")
@public
@operation()
def prelogin(*, body: PreloginIn) -> PreloginOut:
    """Give what a client derives its keys from.

    For an address without an account the answer is invented, alike in form and always the same.
    """
    inputs = signin.derivation_inputs(body.email)
    return PreloginOut(
        account_id=inputs.account_id,
        auth_scheme=inputs.auth_scheme,
        kdf=KdfOut.model_validate(inputs.kdf.to_json()),
        salt=inputs.salt,
    )


@blueprint.post("/signup")
@limiter.limit(blanket.by_address(lambda settings: settings.limit_signup))
@public
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


@blueprint.post("/login")
@public
@operation(refuses=(CredentialsInvalid, Locked, AuditUnavailable))
def login(*, body: LoginIn) -> LoginOut:
    """Open a session."""
    signed_in = signin.login(body)
    return LoginOut(
        access_token=signed_in.opened.access_token,
        expires_in=signed_in.opened.expires_in,
        refresh_token=signed_in.opened.refresh_token,
        account=account_out(signed_in.owner),
        key_set=key_set_out(signed_in.owner),
    )


@blueprint.post("/refresh")
@public
@operation(refuses=(SessionEnded, AuditUnavailable))
def refresh(*, body: RefreshIn) -> TokensOut:
    """Replace a refresh token by its successor, and get a new access token.

    A lost answer may be asked for again with the same token for 30 seconds, until the successor
    is used. Later use of a replaced token ends the session.
    """
    opened = sessions.refresh(body.refresh_token)
    return TokensOut(
        access_token=opened.access_token,
        expires_in=opened.expires_in,
        refresh_token=opened.refresh_token,
    )


@blueprint.post("/logout")
@operation(refuses=(AuditUnavailable,))
def logout() -> None:
    """End this session."""
    sessions.end(current_actor())


@blueprint.post("/step-up")
@operation(refuses=(ProofInvalid, Locked, AuditUnavailable))
def step_up(*, body: ProofIn) -> None:
    """Prove the password again, for operations that ask for a fresh proof."""
    signin.step_up(current_actor(), body)


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
