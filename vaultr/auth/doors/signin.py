"""Signing in over HTTP, and the sessions that follow from it."""

from vaultr.actor import current_actor
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import sessions, signin
from vaultr.auth.doors.blueprint import blueprint
from vaultr.auth.errors import CredentialsInvalid, Locked, ProofInvalid, SessionEnded
from vaultr.auth.schemas import LoginIn, PreloginIn, ProofIn, RefreshIn
from vaultr.auth.views import KdfOut, LoginOut, PreloginOut, TokensOut, account_out, key_set_out
from vaultr.identity.door import public
from vaultr.operation import operation


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
@operation(refuses=(ProofInvalid, Locked, AuditUnavailable), counts_guesses=True)
def step_up(*, body: ProofIn) -> None:
    """Prove the password again, for operations that ask for a fresh proof."""
    signin.step_up(current_actor(), body)
