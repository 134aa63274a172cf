"""The SQL condition that a session or a machine's token is alive, and its parameters.

Frequent statements select this condition with their row, which saves a round trip. `vaultr.auth`
and `vaultr.machines` own the tables, so `vaultr.app` passes the conditions in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.request_context import Actor, Kind


@dataclass(frozen=True, slots=True)
class SessionCheck:
    """The SQL that checks a session or a machine.

    :ivar sql: a condition that is true while the session or the token is alive.
    :ivar parameters: returns the values of the parameters in ``sql`` for the actor.
    """

    sql: str
    parameters: Callable[[Actor], dict[str, Any]]


_SESSIONS: Final = AppSlot[SessionCheck]("security.session_check")
_MACHINES: Final = AppSlot[SessionCheck]("security.machine_check")


def init_app(app: Flask, *, sessions: SessionCheck, machines: SessionCheck) -> None:
    """Store the conditions for the statements of ``app``."""
    _SESSIONS.set(app, sessions)
    _MACHINES.set(app, machines)


def sql(kind: Kind = "account") -> str:
    """Return the SQL condition that is true while a session, or a machine's token, is alive."""
    return _check(kind).sql


def parameters(actor: Actor) -> dict[str, Any]:
    """Return the values of the parameters in `sql`."""
    return _check(actor.kind).parameters(actor)


def _check(kind: Kind) -> SessionCheck:
    return (_SESSIONS if kind == "account" else _MACHINES).get()
