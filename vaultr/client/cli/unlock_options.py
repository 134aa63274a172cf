"""Options of `vaultr unlock`, and the setting VAULTR_IDLE: how long the keys stay in memory."""

import os
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Final

import click

from vaultr.client.background.lifetime import Lifetime
from vaultr.client.cli.offline_options import Duration
from vaultr.client.errors import UsageError

_VARIABLE: Final = "VAULTR_IDLE"
_LONGEST: Final = timedelta(days=30)


class _Limited(Duration):
    """A duration from 1 second to 30 days."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not timedelta() < found <= _LONGEST:
            self.fail("Use at least 1s and at most 30d.", param, ctx)
        return found


def lifetime_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare ``--for`` and ``--until-logout``, and pass their values as ``lifetime``."""

    @wraps(function)
    def gathered(*args: Any, duration: timedelta | None, until_logout: bool, **kwargs: Any) -> Any:
        if duration is not None and until_logout:
            raise UsageError("Use either --for or --until-logout, not both.")
        if until_logout:
            lifetime = Lifetime()
        elif duration is not None:
            lifetime = Lifetime(total_seconds=duration.total_seconds())
        else:
            lifetime = idle_lifetime()
        return function(*args, lifetime=lifetime, **kwargs)

    until = click.option(
        "--until-logout", is_flag=True, help="Keep the keys until you lock, log out or reboot"
    )
    fixed = click.option(
        "--for",
        "duration",
        type=_Limited(),
        metavar="TIME",
        help="Keep the keys this long, used or not, such as 8h",
    )
    return fixed(until(gathered))


def idle_lifetime() -> Lifetime:
    """Return the lifetime without options: the idle time of ``VAULTR_IDLE``, or 15 minutes.

    :raises UsageError: the variable is not a duration.
    """
    text = os.environ.get(_VARIABLE)
    if not text:
        return Lifetime.idle()
    try:
        found: timedelta = _Limited().convert(text, None, None)
    except click.BadParameter as error:
        raise UsageError(f"{_VARIABLE} is not a valid time. {error.message}") from None
    return Lifetime.idle(found.total_seconds())
