"""Remove old backups: keep all of the last days, and one of each earlier month."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vaultr.backup.storage import Location, Stored


@dataclass(frozen=True, slots=True)
class Pruned:
    """The backups that were removed, and those that an object lock still protects."""

    removed: tuple[str, ...]
    locked: tuple[str, ...]
    left: int


def superfluous(
    stored: Sequence[Stored], now: datetime, *, keep_days: int, keep_monthly: int
) -> list[Stored]:
    """Return the backups to remove, oldest first.

    The newest backup and the newest verified one are always kept.

    :param keep_days: keep all backups younger than this.
    :param keep_monthly: of older ones, keep the last of each month, for this many months.
    """
    ordered = sorted(stored, key=lambda one: one.name)
    keep = {one.name for one in ordered[-1:]}
    keep |= {one.name for one in [one for one in ordered if one.verified][-1:]}
    keep |= {one.name for one in ordered if now - one.created_at < timedelta(days=keep_days)}
    last_of_month = {f"{one.created_at:%Y%m}": one.name for one in ordered}
    months = sorted(last_of_month, reverse=True)[:keep_monthly]
    keep |= {last_of_month[month] for month in months}
    return [one for one in ordered if one.name not in keep]


def prune(
    location: Location, now: datetime, *, keep_days: int, keep_monthly: int, dry_run: bool = False
) -> Pruned:
    """Remove superfluous backups; those under an object lock stay until it ends."""
    stored = location.list()
    chosen = superfluous(stored, now, keep_days=keep_days, keep_monthly=keep_monthly)
    removed: list[str] = []
    locked: list[str] = []
    for one in chosen:
        done = dry_run or location.remove(one.name)
        (removed if done else locked).append(one.name)
    if not dry_run:
        location.remove_leftovers()
    return Pruned(tuple(removed), tuple(locked), len(stored) - len(removed))
