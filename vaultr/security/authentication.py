"""Who asks, found out before anything is refused; and the door, closed unless a view is public."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request

from vaultr import clock, request_context
from vaultr.api.contract import contract_of
from vaultr.api.security_headers import PROBES
from vaultr.errors import BadRequest, Unauthenticated
from vaultr.request_context import Actor, current_origin
from vaultr.security import access_tokens, session_cookies
from vaultr.security.access_tokens import Claims

View = TypeVar("View", bound=Callable[..., Any])
ActorOfSession = Callable[[Claims], Actor | None]
OnDenied = Callable[[str], None]

_PREFIX = "Bearer "


def public(view: View) -> View:
    """Open a view to strangers. `tests/guards` lists every one by name."""
    view.public = True  # type: ignore[attr-defined]  # read by the door
    return view


def init_app(app: Flask, *, actor_of_session: ActorOfSession, session_lives: str) -> None:
    """Find out on each request who asks; nobody is refused yet (the limits come first).

    :param session_lives: an SQL condition over the parameters of `session_parameters`, true while
        the session lives: hot views put it into their own statement and save a round trip.
    """
    app.extensions["vaultr.session_lives"] = session_lives
    app.extensions["vaultr.actor_of_session"] = actor_of_session

    def find_out() -> None:
        g.claims = None
        if request.path in PROBES:
            return  # a probe asks no database, whoever sends it
        g.claims = claims = _claims()
        if claims is None:
            return
        if _view_proves_session():
            # Genuine by signature; the view's own statement finds out whether the session lives.
            request_context.set_actor(Actor(claims.account_id, claims.session_id, claims.epoch))
            return
        found = actor_of_session(claims)
        request_context.set_actor(found)
        if found is None:
            g.claims = None  # a dead token counts as none

    def prove() -> None:
        claims = cast("Claims | None", g.get("claims"))
        if claims is not None and actor_of_session(claims) is None:
            raise session_is_dead()

    app.extensions["vaultr.prove_session"] = prove
    app.extensions["vaultr.settle_session"] = settle
    app.before_request(find_out)
    session_cookies.init_app(app)


def close_door(app: Flask, *, on_denied: OnDenied) -> None:
    """Answer 401 to whoever is not proven, on every view that is not `public`."""
    app.extensions["vaultr.on_denied"] = on_denied

    def check() -> None:
        if g.get("two_credentials"):
            raise BadRequest("Send one credential, not several.")
        view = current_app.view_functions.get(request.endpoint or "")
        if view is None or getattr(view, "public", False) or request.method == "OPTIONS":
            return
        if request_context.actor_or_none() is None:
            on_denied("door")
            raise Unauthenticated
        if g.get("by_cookie"):
            _check_cookies()

    def _check_cookies() -> None:
        try:
            session_cookies.check(request_context.current_actor().session_id)
        except session_cookies.CrossSite:
            on_denied("door")
            raise

    app.before_request(check)


def session_lives() -> str:
    """Give the SQL condition that is true while the session of `session_parameters` lives."""
    return cast(str, current_app.extensions["vaultr.session_lives"])


def session_parameters(actor: Actor) -> dict[str, Any]:
    """Give what the condition of `session_lives` may ask for: the session, and where it is used."""
    origin = current_origin()
    return {
        "sid": actor.session_id,
        "account": actor.account_id,
        "epoch": actor.epoch,
        "now": clock.now(),
        "network": origin.network,
        "family": origin.family,
    }


def session_is_dead() -> Unauthenticated:
    """Give the refusal for a hot view whose statement found the session ended.

    The request was counted as the session's; it now counts as a stranger's too.
    """
    request_context.set_actor(None)
    g.dead = g.claims
    g.claims = None
    current_app.extensions["vaultr.count_anonymous"]()
    current_app.extensions["vaultr.on_denied"]("door")
    return Unauthenticated()


def settle() -> None:
    """Do what a hot view's dead session asks for, once its own transaction was undone.

    Used from elsewhere, where sessions are bound to their place, it has not ended yet.
    """
    dead = cast("Claims | None", g.pop("dead", None))
    if dead is not None and ":network" in session_lives():
        current_app.extensions["vaultr.actor_of_session"](dead)


def claims() -> Claims | None:
    """Give what this request's token says, or None for a stranger."""
    return cast("Claims | None", g.get("claims"))


def _claims() -> Claims | None:
    header = request.headers.get("Authorization", "")
    # WSGI joins several headers by commas, which no token holds.
    if "," in header or (header and session_cookies.sent()):
        g.two_credentials = True
        return None
    if not header and (cookie := session_cookies.access_token()) is not None:
        g.by_cookie = True
        return access_tokens.read(cookie)
    if header[: len(_PREFIX)].lower() != _PREFIX.lower():
        return None
    return access_tokens.read(header[len(_PREFIX) :].strip())


def _view_proves_session() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    contract = contract_of(view)
    return contract is not None and contract.proves_session
