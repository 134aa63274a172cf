"""The SQL condition that a session is alive, and its parameters.

Frequent statements select this condition with their row, which saves a round trip. `vaultr.auth`
owns the tables, so `vaultr.app` passes the condition in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.request_context import Actor


@dataclass(frozen=True, slots=True)
class SessionCheck:
    """The SQL that checks a session.

    :ivar sql: a condition that is true while the session is alive.
    :ivar parameters: returns the values of the parameters in ``sql`` for the actor.
    """

    sql: str
    parameters: Callable[[Actor], dict[str, Any]]


_CHECK: Final = AppSlot[SessionCheck]("security.session_check")


def init_app(app: Flask, check: SessionCheck) -> None:
    """Store the condition for the statements of ``app``."""
    _CHECK.set(app, check)


def sql() -> str:
    """Return the SQL condition that is true while the session is alive."""
    return _CHECK.get().sql


def parameters(actor: Actor) -> dict[str, Any]:
    """Return the values of the parameters that `sql` uses."""
    return _CHECK.get().parameters(actor)
