"""Check the passwords of all items, and list problems by title, never by value."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

from vaultr.client.account.password_policy import password_strength
from vaultr.client.account.strong_passwords import is_surely_strong
from vaultr.client.items.schemas import date_of
from vaultr.client.password_health.breach_file import digest_of
from vaultr.client.vaultr_client import Item

KINDS: Final = ("reused", "weak", "old", "expiring", "no-second-factor", "breached")
_WEAK_BELOW: Final = 3  # of 0 to 4; 3 withstands 10^8 guesses, offline with a slow hash


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of one item."""

    kind: str
    item: Item
    message: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for old and expiring passwords, relative to ``today``."""

    today: date
    old: timedelta
    expiring: timedelta


def findings(
    items: Iterable[Item],
    limits: Limits,
    breached: Callable[[bytes], int] | None = None,
) -> list[Finding]:
    """Return all findings, by kind in the order of ``KINDS``, then by title.

    :param breached: returns how often a password's SHA-1 hash is in a list of breached passwords.
    """
    listed = [item for item in items if item.detail is not None]
    judge = cache(_score)
    passwords = [(item, text) for item in listed if (text := password_of(item))]
    found = [*_reused(passwords), *_weak(passwords, judge), *_old(passwords, limits)]
    found += [*_expiring(listed, limits), *_without_factor(passwords)]
    if breached is not None:
        found += [
            Finding("breached", item, f"seen in breaches: {count:,}")
            for item, count in breaches(listed, breached)
        ]
    return sorted(found, key=lambda each: (KINDS.index(each.kind), each.item.title.casefold()))


def _score(password: str) -> int:
    """Return the strength of a password; 3 for a surely strong one, as more changes nothing."""
    return _WEAK_BELOW if is_surely_strong(password) else password_strength(password).score


def password_of(item: Item) -> str:
    """Return the password of an item; an empty text if it has none."""
    value = (item.detail or {}).get("password")
    return value if isinstance(value, str) else ""


def _reused(passwords: Sequence[tuple[Item, str]]) -> Iterator[Finding]:
    by_password: dict[str, list[Item]] = {}
    for item, password in passwords:
        by_password.setdefault(unicodedata.normalize("NFC", password), []).append(item)
    for items in by_password.values():
        if len(items) > 1:
            for item in items:
                yield Finding("reused", item, f"used by {len(items)} items")


def _weak(
    passwords: Sequence[tuple[Item, str]], strength: Callable[[str], int]
) -> Iterator[Finding]:
    for item, password in passwords:
        score = strength(password)
        if score < _WEAK_BELOW:
            yield Finding("weak", item, f"easy to guess (strength {score} of 4)")


def _old(passwords: Sequence[tuple[Item, str]], limits: Limits) -> Iterator[Finding]:
    for item, _ in passwords:
        age = limits.today - _changed_on(item)
        if age > limits.old:
            yield Finding("old", item, f"not changed for {age.days} days")


def _changed_on(item: Item) -> date:
    """Return when the password was last changed: by its history, or else by the item's dates."""
    history = (item.detail or {}).get("history")
    source = (item.detail or {}).get("source")
    texts = [
        each.get("used_until")
        for each in (history if isinstance(history, list) else [])
        if isinstance(each, dict)
    ]
    known = [day for text in texts if (day := date_of(text)) is not None]
    if known:
        return max(known)
    imported = date_of(source.get("updated_at")) if isinstance(source, dict) else None
    # An import does not change the password.
    is_untouched = isinstance(source, dict) and item.created_at == item.updated_at
    return imported if imported is not None and is_untouched else item.updated_at.date()


def expires_on(item: Item) -> date | None:
    """Return the day on which an item expires: from its overview, or an API key's detail."""
    day = date_of(item.overview.get("expires_on"))
    return day if day is not None else date_of((item.detail or {}).get("expires_at"))


def _expiring(items: Sequence[Item], limits: Limits) -> Iterator[Finding]:
    for item in items:
        day = expires_on(item)
        if day is not None and day <= limits.today + limits.expiring:
            past = day < limits.today
            yield Finding("expiring", item, f"{'expired' if past else 'expires'} on {day}")


def _without_factor(passwords: Sequence[tuple[Item, str]]) -> Iterator[Finding]:
    for item, _ in passwords:
        detail: dict[str, Any] = item.detail or {}
        if item.type == "login" and not detail.get("totp") and not detail.get("passkeys"):
            yield Finding("no-second-factor", item, "no TOTP secret and no passkey")


def breaches(items: Iterable[Item], breached: Callable[[bytes], int]) -> Iterator[tuple[Item, int]]:
    """Yield the items whose password was seen in breaches, with its count.

    :param breached: returns how often a SHA-1 hash was seen.
    """
    counted = cache(breached)
    for item in items:
        if (password := password_of(item)) and (count := counted(digest_of(password))):
            yield item, count
