"""Find out who sends a request; reject anonymous requests unless the view is public."""

from collections.abc import Callable
from typing import Final, cast

from flask import Flask, g, request

from vaultr import request_context
from vaultr.api.contract import PROBE_PATHS, CrossSite, current_contract, current_view
from vaultr.app_state import AppSlot
from vaultr.errors import BadRequest, Forbidden, Unauthenticated
from vaultr.request_context import Actor
from vaultr.security import access_tokens, machine_tokens, session_check, session_cookies
from vaultr.security.access_tokens import Claims
from vaultr.security.machine_tokens import MachineActors, MachineProof, TokenSent

SessionActor = Callable[[Claims], Actor | None]
OnDenied = Callable[[str], None]

_BEARER = "Bearer "
_DENIED: Final = "door"  # the reason in audit events: never rename
_SESSION_ACTOR: Final = AppSlot[SessionActor]("security.session_actor")
_MACHINES: Final = AppSlot[MachineActors]("security.machine_actors")
_BEFORE_SESSION: Final = AppSlot[Callable[[Claims], None]]("security.before_session")
_BEFORE_MACHINE: Final = AppSlot[Callable[[], None]]("security.before_machine")
_ON_DENIED: Final = AppSlot[OnDenied]("security.on_denied")


def init_app(
    app: Flask,
    *,
    session_actor: SessionActor,
    machine_actors: MachineActors,
    before_session: Callable[[Claims], None],
    before_machine: Callable[[], None],
    on_denied: OnDenied,
) -> None:
    """Identify the sender of each request. This rejects nobody yet: rate limits come first.

    :param session_actor: returns the actor of a session, or None if the session is dead.
    :param machine_actors: finds the actor of a machine.
    :param before_session: may reject a request before its session is looked up.
    :param before_machine: may reject a request before an unknown machine is looked up.
    :param on_denied: counts a rejected request for the audit log.
    """
    _SESSION_ACTOR.set(app, session_actor)
    _MACHINES.set(app, machine_actors)
    _BEFORE_SESSION.set(app, before_session)
    _BEFORE_MACHINE.set(app, before_machine)
    _ON_DENIED.set(app, on_denied)
    app.before_request(_identify)
    session_cookies.init_app(app)


def reject_anonymous(app: Flask) -> None:
    """Respond with 401 to anonymous requests, except on `public` views."""
    app.before_request(_require_actor)


def claims() -> Claims | None:
    """Return the claims of this request's access token, or None for an anonymous request.

    For a machine, the claims have the values of its actor.
    """
    return cast("Claims | None", g.get("claims"))


def require_session() -> None:
    """Raise `Unauthenticated` if the session or the machine of this request is dead.

    A view with ``checks_session`` needs this if its own statement did not run.
    """
    proof = _machine_proof()
    if proof is not None:
        if _MACHINES.get().read(proof) is None:
            raise Unauthenticated
        return
    token = claims()
    if token is not None and _SESSION_ACTOR.get()(token) is None:
        raise Unauthenticated


def renew_machine() -> bool:
    """Read the machine of this request again, in case it has changed since it was looked up.

    :return: whether it has changed; the request can then be repeated with the new actor.
    :raises Forbidden: the machine may no longer be used from this network.
    """
    proof = _machine_proof()
    if proof is None:
        return False
    before, actor = request_context.actor_or_none(), _MACHINES.get().read(proof)
    if before is None or actor is None or actor.epoch == before.epoch:
        return False
    _set_machine(actor)
    if not actor.in_network:
        raise Forbidden("This machine may not be used from your network address.")
    return True


def forget_session() -> bool:
    """Make this request anonymous, because its session is dead; return whether there was one.

    If the session is bound to its network and was used from another network, this also ends it. The
    view could not do that: its transaction was rolled back.
    """
    token, proof = claims(), _machine_proof()
    request_context.set_actor(None)
    g.claims = g.machine_proof = None
    if token is None:
        return False
    if proof is None and ":network" in session_check.sql():
        _SESSION_ACTOR.get()(token)
    return True


def count_denied() -> None:
    """Count this request as rejected for lack of authentication."""
    _ON_DENIED.get()(_DENIED)


def _identify() -> None:
    g.claims = g.machine_proof = None
    if request.path in PROBE_PATHS:
        return  # a probe never runs a statement
    header = request.headers.get("Authorization", "")
    if machine_tokens.is_token(header):
        g.token_sent = True
        return
    g.claims = token = _read_claims(header)
    if g.machine_proof is not None:
        _identify_machine(g.machine_proof)
        return
    if token is None:
        return
    _BEFORE_SESSION.get()(token)
    if _view_checks_session():
        # The signature is valid; the view's own statement checks whether the session is alive.
        request_context.set_actor(Actor(token.account_id, token.session_id, token.epoch))
        return
    actor = _SESSION_ACTOR.get()(token)
    request_context.set_actor(actor)
    if actor is None:
        g.claims = None  # a dead session's token counts as no token


def _identify_machine(proof: MachineProof) -> None:
    """Find the actor of a machine; the view's own statement may check it, as for a session."""
    machines = _MACHINES.get()
    actor = machines.known(proof)
    if actor is None:
        _BEFORE_MACHINE.get()()
    if actor is None or not _view_checks_session():
        actor = machines.read(proof)
    if actor is None:
        g.machine_proof = None
        return
    _set_machine(actor)
    _BEFORE_SESSION.get()(g.claims)


def _set_machine(actor: Actor) -> None:
    request_context.set_actor(actor)
    # Rate limits read this; only the expiry of a session's token matters.
    g.claims = Claims(actor.account_id, actor.session_id, actor.epoch, expires_at=0)


def _machine_proof() -> MachineProof | None:
    return cast("MachineProof | None", g.get("machine_proof"))


def _require_actor() -> None:
    if g.get("token_sent"):
        count_denied()
        raise TokenSent
    if g.get("two_credentials"):
        raise BadRequest("Send one credential, not several.")
    view = current_view()
    if view is None or getattr(view, "public", False) or request.method == "OPTIONS":
        return
    if request_context.actor_or_none() is None:
        count_denied()
        raise Unauthenticated
    if g.get("by_cookie"):
        try:
            session_cookies.check(request_context.current_actor().session_id)
        except CrossSite:
            count_denied()
            raise


def _read_claims(header: str) -> Claims | None:
    # WSGI joins repeated headers with commas, which no token contains.
    if "," in header or (header and session_cookies.sent()):
        g.two_credentials = True
        return None
    if not header and (cookie := session_cookies.access_token()) is not None:
        g.by_cookie = True
        return access_tokens.read(cookie)
    if header[: len(_BEARER)].lower() != _BEARER.lower():
        return None
    credential = header[len(_BEARER) :].strip()
    if credential.startswith(machine_tokens.PREFIX):
        g.machine_proof = machine_tokens.parse(credential)
        return None
    return access_tokens.read(credential)


def _view_checks_session() -> bool:
    contract = current_contract()
    return contract is not None and contract.checks_session
