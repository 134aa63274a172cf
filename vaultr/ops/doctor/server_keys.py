"""Looks at the keys: which ids there are, which of them signs, and how old that one is."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from vaultr import clock
from vaultr.ops.check_result import Finding, ok, problem, warning
from vaultr.ops.keys import usage
from vaultr.settings.model import Settings
from vaultr.settings.types import KEY_SETS, Keys

OLD_DAYS: Final = 365
# Not AUDIT_KEY: to look through all events takes long; `flask keys status` does.
_NEEDED: Final = ("PEPPER", "FACTOR_KEY", "MAIL_KEY")
_DRAWN: Final = re.compile(r"(20[0-9]{6})(?:[0-9]{6}-)?[0-9a-f]*")  # as they are named


def check(settings: Settings) -> Iterator[Finding]:
    """Say of each key set how it stands; that they are strong and distinct, start-up has seen."""
    for name in KEY_SETS:
        keys: Keys = getattr(settings, name.lower())
        yield from _of(name, keys, production=settings.production)
    role = "this process signs checkpoints" if settings.checkpoint_key else "not here"
    yield ok("secrets", f"CHECKPOINT_KEY: {role} (only the worker needs it)")


def check_needed(settings: Settings) -> Iterator[Finding]:
    """Say of each key that something in the database needs and that is not here."""
    here = True
    for name in _NEEDED:
        keys: Keys = getattr(settings, name.lower())
        for key_id, use in usage.missing(name, keys.by_id).items():
            here = False
            todo = f"Put that key back behind the first one of {name} (docs/keys.md), and reload."
            yield problem("secrets", f"{name}: {use} need {key_id}, which is not here", todo)
    if here:
        yield ok("secrets", f"all that the database needs of {', '.join(_NEEDED)} is here")


def _of(name: str, keys: Keys, *, production: bool) -> Iterator[Finding]:
    first, *others = keys.by_id
    also = f"; also verify: {', '.join(others)}" if others else ""
    says = f"{name}: {first} signs{also}"
    days = _age_days(first)
    if production and first == "default":
        todo = f"Give it as <id>:<key>, so that it can rotate: `flask keys rotate {name}`."
        yield warning("secrets", f"{name}: one plain value without an id", todo)
    elif days is not None and days > OLD_DAYS:
        todo = f"`flask keys rotate {name}`, restart, later `flask keys retire`."
        yield warning("secrets", f"{says}; it is {days} days old", todo)
    else:
        yield ok("secrets", says if days is None else f"{says}; {days} days old")


def _age_days(key_id: str) -> int | None:
    """Read the age out of an id that begins with a date; None for others."""
    match = _DRAWN.fullmatch(key_id)
    if match is None:
        return None
    try:
        drawn = datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0, (clock.now() - drawn).days)
