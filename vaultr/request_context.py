"""The actor and origin of the current request, available to all layers."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Kind = Literal["account", "machine"]


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated sender: an account with a session, or a machine of an account.

    :ivar session_id: the session; for a machine, the machine's id.
    :ivar epoch: the account's epoch when the token was signed; for a machine, its revision.
    :ivar fresh_until: the end of the last step-up (or login); None for a machine.
    :ivar in_network: the request comes from a network that the machine may use.
    """

    account_id: UUID
    session_id: UUID
    epoch: int
    fresh_until: datetime | None = None
    kind: Kind = "account"
    in_network: bool = True

    @property
    def id(self) -> UUID:
        """Return the id of the account or machine, under which keys are stored."""
        return self.account_id if self.kind == "account" else self.session_id


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a request, limited to values that may be stored.

    :ivar address: the key for rate limits: the client address (IPv6: its /64).
    :ivar network: the client's /24 (IPv6: /48).
    :ivar family: a word for the client program, such as ``vaultr`` or ``firefox``.
    :ivar trace_id: the trace that the client sent (W3C Trace Context).
    :ivar peer: the full client address; stored only if AUDIT_DETAIL is `on`.
    :ivar agent: the full user agent; stored only if AUDIT_DETAIL is `on`.
    """

    request_id: str
    address: str
    network: str
    family: str
    trace_id: str | None = None
    peer: str = "-"
    agent: str = ""


NOWHERE = Origin(request_id="-", address="-", network="-", family="system")

_actor: ContextVar[Actor | None] = ContextVar("vaultr_actor", default=None)
_origin: ContextVar[Origin] = ContextVar("vaultr_origin", default=NOWHERE)


def current_actor() -> Actor:
    """Return the actor of this request.

    :raises LookupError: the request is anonymous; authentication rejects it unless the view is
        public.
    """
    actor = _actor.get()
    if actor is None:
        raise LookupError("the request has no authenticated actor")
    return actor


def actor_or_none() -> Actor | None:
    """Return the actor, or None for an anonymous request."""
    return _actor.get()


def set_actor(actor: Actor | None) -> None:
    """Store the actor; only `security.authentication` calls this."""
    _actor.set(actor)


def current_origin() -> Origin:
    """Return the origin of this request, or ``NOWHERE`` outside of a request."""
    return _origin.get()


def set_origin(origin: Origin) -> None:
    """Store the origin; only `api.request_origin` and its fallback call this."""
    _origin.set(origin)
