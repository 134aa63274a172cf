"""Routes of login, refresh, logout and step-up."""

from vaultr.api.contract import CrossSite, public
from vaultr.api.operation import operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import service
from vaultr.auth.errors import (
    CredentialsInvalid,
    FactorRequired,
    Locked,
    ProofInvalid,
    SecondFactorRequired,
    SessionEnded,
)
from vaultr.auth.responses import (
    CookieLoginOut,
    CookiesOut,
    KdfOut,
    LoginAnswer,
    LoginOut,
    PreloginOut,
    RefreshOut,
    TokensOut,
    account_out,
    key_set_out,
)
from vaultr.auth.routes.blueprint import blueprint
from vaultr.auth.schemas import LoginIn, PreloginIn, ProofIn, RefreshIn
from vaultr.auth.sessions import SessionTokens
from vaultr.errors import BadRequest
from vaultr.ratelimit.middleware import counted_if_rejected
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.security.response_timing import round_response_time


@blueprint.post("/prelogin")
@public
@round_response_time
@operation()
def prelogin(*, body: PreloginIn) -> PreloginOut:
    """Return the inputs for deriving a client's keys.

    For an address without an account, these are the inputs of a stable decoy account.
    """
    inputs = service.derivation_inputs(body.email)
    return PreloginOut(
        account_id=inputs.account_id,
        auth_scheme=inputs.auth_scheme,
        kdf=KdfOut.model_validate(inputs.kdf.to_json()),
        salt=inputs.salt,
    )


@blueprint.post("/login")
@public
@round_response_time
@operation(errors=(CredentialsInvalid, SecondFactorRequired, CrossSite, Locked, AuditUnavailable))
def login(*, body: LoginIn) -> LoginAnswer:
    """Start a session.

    With `cookies`, the tokens are set as cookies (`__Host-vaultr_access`, `__Host-vaultr_refresh`)
    for pages of this server only. A request that may change something must then repeat the cookie
    `__Host-vaultr_csrf` in `X-CSRF-Token`. No request may carry both cookies and a bearer token.
    """
    if body.cookies:
        session_cookies.check_origin()
    result = service.log_in(body)
    tokens, owner = result.tokens, result.owner
    account, key_set = account_out(owner), key_set_out(owner)
    if body.cookies:
        _set_cookies(tokens)
        by_cookies = CookieLoginOut(expires_in=tokens.expires_in, account=account, key_set=key_set)
        return LoginAnswer(by_cookies)
    return LoginAnswer(
        LoginOut(
            access_token=tokens.access_token,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token,
            account=account,
            key_set=key_set,
        )
    )


@blueprint.post("/refresh")
@public
@counted_if_rejected
@operation(errors=(CrossSite, SessionEnded, AuditUnavailable))
def refresh(*, body: RefreshIn) -> RefreshOut:
    """Replace a refresh token by its successor, and return a new access token.

    After a lost response, the same token can be sent again for 30 seconds, unless its successor was
    used. Any later use of a replaced token ends the session. For a browser, the tokens are cookies,
    and `X-CSRF-Token` is required.
    """
    cookie = session_cookies.refresh_token()
    if body.refresh_token is None:
        tokens = _refresh_cookie(cookie)
        return RefreshOut(CookiesOut(expires_in=tokens.expires_in))
    if cookie is not None:
        raise BadRequest("Send one credential, not several.")
    tokens = service.refresh_session(body.refresh_token)
    return RefreshOut(
        TokensOut(
            access_token=tokens.access_token,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token,
        )
    )


def _refresh_cookie(cookie: str | None) -> SessionTokens:
    try:
        if cookie is None:
            raise SessionEnded
        tokens = service.refresh_session(cookie, check_intent=session_cookies.check)
    except SessionEnded:
        session_cookies.delete_cookies()
        raise
    _set_cookies(tokens)
    return tokens


def _set_cookies(tokens: SessionTokens) -> None:
    session_cookies.set_cookies(
        tokens.session_id, tokens.access_token, tokens.refresh_token, lives=service.SESSION_IDLE
    )


@blueprint.post("/logout")
@operation(access="write", errors=(AuditUnavailable,))
def logout() -> None:
    """End this session, and clear its cookies."""
    service.log_out(current_actor())
    session_cookies.delete_cookies()


@blueprint.post("/step-up")
@operation(
    access="write",
    errors=(ProofInvalid, FactorRequired, Locked, AuditUnavailable),
    counts_guesses=True,
)
def step_up(*, body: ProofIn) -> None:
    """Prove the password again, for operations that need a step-up."""
    service.step_up(current_actor(), body)
