"""Signing in over HTTP, and the sessions that follow from it."""

from vaultr.api.contract import CrossSite, public
from vaultr.api.operation import operation
from vaultr.audit.errors import AuditUnavailable
from vaultr.auth import login as signin
from vaultr.auth import sessions
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
from vaultr.auth.sessions import Opened
from vaultr.errors import BadRequest
from vaultr.ratelimit.middleware import counted_if_rejected
from vaultr.request_context import current_actor
from vaultr.security import session_cookies
from vaultr.security.response_timing import evenly


@blueprint.post("/prelogin")
@public
@evenly
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
@evenly
@operation(errors=(CredentialsInvalid, SecondFactorRequired, CrossSite, Locked, AuditUnavailable))
def login(*, body: LoginIn) -> LoginAnswer:
    """Open a session.

    With `cookies` the tokens are set as cookies (`__Host-vaultr_access`, `__Host-vaultr_refresh`)
    for pages of this server alone. From then on a request that may change something repeats the
    cookie `__Host-vaultr_csrf` in `X-CSRF-Token`; no request carries cookies and a bearer token.
    """
    if body.cookies:
        session_cookies.check_origin()
    signed_in = signin.login(body)
    opened, owner = signed_in.opened, signed_in.owner
    account, key_set = account_out(owner), key_set_out(owner)
    if body.cookies:
        _hand_over(opened)
        by_cookies = CookieLoginOut(expires_in=opened.expires_in, account=account, key_set=key_set)
        return LoginAnswer(by_cookies)
    return LoginAnswer(
        LoginOut(
            access_token=opened.access_token,
            expires_in=opened.expires_in,
            refresh_token=opened.refresh_token,
            account=account,
            key_set=key_set,
        )
    )


@blueprint.post("/refresh")
@public
@counted_if_rejected
@operation(errors=(CrossSite, SessionEnded, AuditUnavailable))
def refresh(*, body: RefreshIn) -> RefreshOut:
    """Replace a refresh token by its successor, and get a new access token.

    A lost answer may be asked for again with the same token for 30 seconds, until the successor
    is used. Later use of a replaced token ends the session. A browser's comes and goes as a
    cookie, with `X-CSRF-Token`.
    """
    cookie = session_cookies.refresh_token()
    if body.refresh_token is None:
        opened = _refresh_cookie(cookie)
        return RefreshOut(CookiesOut(expires_in=opened.expires_in))
    if cookie is not None:
        raise BadRequest("Send one credential, not several.")
    opened = sessions.refresh(body.refresh_token)
    return RefreshOut(
        TokensOut(
            access_token=opened.access_token,
            expires_in=opened.expires_in,
            refresh_token=opened.refresh_token,
        )
    )


def _refresh_cookie(cookie: str | None) -> Opened:
    try:
        if cookie is None:
            raise SessionEnded
        opened = sessions.refresh(cookie, meant=session_cookies.check)
    except SessionEnded:
        session_cookies.take_back()
        raise
    _hand_over(opened)
    return opened


def _hand_over(opened: Opened) -> None:
    session_cookies.hand_over(
        opened.session_id, opened.access_token, opened.refresh_token, lives=sessions.IDLE
    )


@blueprint.post("/logout")
@operation(errors=(AuditUnavailable,))
def logout() -> None:
    """End this session; of a browser, its cookies too."""
    sessions.end(current_actor())
    session_cookies.take_back()


@blueprint.post("/step-up")
@operation(errors=(ProofInvalid, FactorRequired, Locked, AuditUnavailable), counts_guesses=True)
def step_up(*, body: ProofIn) -> None:
    """Prove the password again, for operations that ask for a fresh proof."""
    signin.step_up(current_actor(), body)
