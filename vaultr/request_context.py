"""Who asks, and from where: what `identity` finds out about a request, for every floor to read."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Actor:
    """A proven caller. ``fresh_until`` is when its last step-up (or login) stops counting."""

    account_id: UUID
    session_id: UUID
    epoch: int
    fresh_until: datetime | None = None
    kind: Literal["account", "machine"] = "account"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from, as coarse as it may be written down.

    ``network`` is the client's /24 or /48, ``address`` the key by which limits count (IPv6 by
    /64), ``family`` a word for the client such as ``vaultr-cli`` or ``browser``, ``trace_id`` the
    caller's own (W3C Trace Context). ``peer`` and ``agent`` are the full address and user agent,
    for AUDIT_DETAIL alone.
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
    """Return the proven caller of this request.

    :raises LookupError: nobody is proven; the door lets no such request reach a closed view.
    """
    actor = _actor.get()
    if actor is None:
        raise LookupError("no proven caller")
    return actor


def actor_or_none() -> Actor | None:
    """Return the proven caller, or None for an anonymous request."""
    return _actor.get()


def set_actor(actor: Actor | None) -> None:
    """Say who asks; only `identity` does."""
    _actor.set(actor)


def current_origin() -> Origin:
    """Return where this request comes from; ``NOWHERE`` outside of one."""
    return _origin.get()


def set_origin(origin: Origin) -> None:
    """Say where the request comes from; only `edge` does."""
    _origin.set(origin)
