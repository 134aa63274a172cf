"""Check the keys: which ids exist, which key signs, and how old it is."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from vaultr import clock
from vaultr.ops.check_result import CheckResult, ok, problem, warning
from vaultr.ops.keys import usage
from vaultr.settings.model import Settings
from vaultr.settings.types import KEY_SETS, Keys

OLD_DAYS: Final = 365
# Without AUDIT_KEY: scanning all events is slow, so only `flask keys status` does it.
_NEEDED: Final = ("PEPPER", "FACTOR_KEY", "MAIL_KEY")
_DRAWN: Final = re.compile(r"(20[0-9]{6})(?:[0-9]{6}-)?[0-9a-f]*")  # the format of generated ids


def check(settings: Settings) -> Iterator[CheckResult]:
    """Report the state of each keyring. Start-up has checked that keys are strong and distinct."""
    for name in KEY_SETS:
        keys: Keys = getattr(settings, name.lower())
        yield from _check_keyring(name, keys, production=settings.production)
    role = "this process signs checkpoints" if settings.checkpoint_key else "not here"
    yield ok("secrets", f"CHECKPOINT_KEY: {role} (only the sequencer needs it)")


def check_needed(settings: Settings) -> Iterator[CheckResult]:
    """Report keys that the database needs but that are missing here."""
    here = True
    for name in _NEEDED:
        keys: Keys = getattr(settings, name.lower())
        for key_id, use in usage.missing(name, keys.by_id).items():
            here = False
            todo = f"Add this key to {name} again, after its first key (docs/keys.md), and reload."
            yield problem("secrets", f"{name}: {use} need {key_id}, which is missing", todo)
    if here:
        yield ok("secrets", f"all keys of {', '.join(_NEEDED)} that the database needs are present")


def _check_keyring(name: str, keys: Keys, *, production: bool) -> Iterator[CheckResult]:
    first, *others = keys.by_id
    also = f"; also verify: {', '.join(others)}" if others else ""
    says = f"{name}: {first} signs{also}"
    days = _age_days(first)
    if production and first == "default":
        todo = f"Write it as <id>:<key>, so that `flask keys rotate {name}` can replace it."
        yield warning("secrets", f"{name}: a plain value without an id", todo)
    elif days is not None and days > OLD_DAYS:
        todo = f"Run `flask keys rotate {name}`, restart, and later run `flask keys retire`."
        yield warning("secrets", f"{says}; it is {days} days old", todo)
    else:
        yield ok("secrets", says if days is None else f"{says}; {days} days old")


def _age_days(key_id: str) -> int | None:
    """Return the age in days of an id that begins with a date, or None."""
    match = _DRAWN.fullmatch(key_id)
    if match is None:
        return None
    try:
        generated = datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0, (clock.now() - generated).days)
