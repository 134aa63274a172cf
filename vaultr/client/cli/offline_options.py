"""Options of commands that read: from the copy on this device, and how old it may be."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from vaultr.client.cli.options import Choices
from vaultr.client.cli.output import tell
from vaultr.client.errors import ServerUnreachable

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhdw])")


class Duration(click.ParamType[timedelta]):
    """A length of time as 90s, 15m, 12h, 7d or 2w."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, timedelta):
            return value
        found = _DURATION.fullmatch(value)
        if found is None:
            self.fail("a number and s, m, h, d or w is wanted, as 12h.", param, ctx)
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _is_chosen(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    choices = context.find_root().ensure_object(Choices)
    if value:
        choices.copy_may_do = True
        choices.offline = choices.offline or parameter.name == "offline"
    return value


def copy_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare ``--offline`` and ``--max-age``, and name them where the server is away."""

    @wraps(function)
    def reading(*arguments: Any, offline: bool, **named: Any) -> Any:
        try:
            return function(*arguments, offline=offline, **named)
        except ServerUnreachable as error:
            if not offline:
                error.add_note("What this device holds can be read with --offline.")
            raise

    offline = click.option(
        "--offline",
        is_flag=True,
        callback=_is_chosen,
        help="From the copy on this device, without the server.",
    )
    max_age = click.option(
        "--max-age",
        type=Duration(),
        callback=_is_chosen,
        metavar="AGE",
        help="How old the copy may be, as 12h: a younger one is taken without asking the server;"
        " an older one is renewed, or refused with --offline.",
    )
    return offline(max_age(reading))


def from_copy(vaultr: "Vaultr", *, offline: bool, max_age: timedelta | None) -> bool:
    """Decide whether the copy on this device is what is read, and tell its age if it is.

    :raises TooOld: only the copy may be read, and it is older than allowed.
    """
    if not offline and max_age is None:
        return False
    # It comes with the SDK, which is loaded by now.
    from vaultr.client.storage import freshness  # noqa: PLC0415 - heavy, see above

    age = vaultr.age
    if max_age is not None and (age is None or age > max_age):
        if not offline:
            return False
        how_old = "of unknown age" if age is None else f"{freshness.age_text(age)} old"
        raise freshness.TooOld(f"The copy on this device is {how_old}.")
    if offline:
        tell(
            "From the copy on this device, whose age is not known."
            if age is None
            else f"From the copy on this device, {freshness.age_text(age)} old."
        )
    return True
