"""Options of reading commands: whether to use the copy on this device, and its maximum age."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from vaultr.client.cli.options import GlobalOptions
from vaultr.client.cli.output import print_note
from vaultr.client.errors import ServerUnreachable, Unavailable

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr

T = TypeVar("T")

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST: Final = timedelta(days=36_525)
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhdw])")


class Duration(click.ParamType[timedelta]):
    """A duration such as 90s, 15m, 12h, 7d or 2w."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the duration as a timedelta."""
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(value)
        if match is None:
            self.fail("Use a number and s, m, h, d or w, such as 12h.", param, ctx)
        found = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
        if found > _LONGEST:
            self.fail("Use at most 100 years.", param, ctx)
        return found


def _store_may_use_copy(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    options = context.find_root().ensure_object(GlobalOptions)
    if value:
        options.may_use_copy = True
        options.offline = options.offline or parameter.name == "offline"
    return value


def copy_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare ``--offline`` and ``--max-age``; suggest ``--offline`` if no server responds."""

    @wraps(function)
    def with_advice(*args: Any, offline: bool, **kwargs: Any) -> Any:
        try:
            return function(*args, offline=offline, **kwargs)
        except ServerUnreachable as error:
            if not offline:
                error.add_note("Use --offline to read the copy on this device.")
            raise

    offline = click.option(
        "--offline",
        is_flag=True,
        callback=_store_may_use_copy,
        help="Use the copy on this device; do not contact the server",
    )
    max_age = click.option(
        "--max-age",
        type=Duration(),
        callback=_store_may_use_copy,
        metavar="AGE",
        help="Use the copy if it is at most this old, such as 12h",
    )
    return offline(max_age(with_advice))


def uses_copy(vaultr: "Vaultr", *, offline: bool, max_age: timedelta | None) -> bool:
    """Decide whether to read the copy on this device; with ``--offline``, print its age.

    :raises TooOld: only the copy may be read, and it is older than ``max_age``.
    """
    if not offline and max_age is None:
        return False
    # This module is part of the SDK, which is already loaded.
    from vaultr.client.storage import freshness  # noqa: PLC0415 - heavy, see above

    age = vaultr.age
    if max_age is not None and (age is None or age > max_age):
        if not offline:
            return False
        age_text = "of unknown age" if age is None else f"{freshness.age_text(age)} old"
        raise freshness.TooOld(f"The copy on this device is {age_text}.")
    if offline:
        print_note(
            "Using the copy on this device, of unknown age."
            if age is None
            else f"Using the copy on this device, {freshness.age_text(age)} old."
        )
    return True


def with_fallback(vaultr: "Vaultr", max_age: timedelta | None, action: Callable[[bool], T]) -> T:
    """Call ``action``; if the server is unreachable, call it with the copy, and print its age.

    :param max_age: maximum age of the copy; None for no fallback.
    :param action: reads from the server, or from the copy if its argument is True.
    :raises ServerUnreachable: no copy is recent enough.
    """
    try:
        return action(False)  # noqa: FBT003 - a Callable has no keywords
    except (ServerUnreachable, Unavailable) as error:
        age = None if max_age is None else vaultr.age
        if max_age is None or age is None or age > max_age:
            if max_age is not None:
                error.add_note("This device has no copy that --fallback-max-age allows.")
            raise
    # This module is part of the SDK, which is already loaded.
    from vaultr.client.storage import freshness  # noqa: PLC0415 - heavy, see above

    print_note(
        f"The server is unreachable. Using the copy on this device, {freshness.age_text(age)} old."
    )
    return action(True)  # noqa: FBT003 - a Callable has no keywords
