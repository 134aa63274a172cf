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
    keep = {backup.name for backup in ordered[-1:]}
    keep |= {backup.name for backup in [backup for backup in ordered if backup.verified][-1:]}
    keep |= {
        backup.name for backup in ordered if now - backup.created_at < timedelta(days=keep_days)
    }
    last_of_month = {f"{backup.created_at:%Y%m}": backup.name for backup in ordered}
    months = sorted(last_of_month, reverse=True)[:keep_monthly]
    keep |= {last_of_month[month] for month in months}
    return [backup for backup in ordered if backup.name not in keep]


def prune(
    location: Location, now: datetime, *, keep_days: int, keep_monthly: int, dry_run: bool = False
) -> Pruned:
    """Remove superfluous backups; those under an object lock stay until it ends."""
    stored = location.list()
    chosen = superfluous(stored, now, keep_days=keep_days, keep_monthly=keep_monthly)
    removed: list[str] = []
    locked: list[str] = []
    for backup in chosen:
        done = dry_run or location.remove(backup.name)
        (removed if done else locked).append(backup.name)
    if not dry_run:
        location.remove_leftovers()
    return Pruned(tuple(removed), tuple(locked), len(stored) - len(removed))
