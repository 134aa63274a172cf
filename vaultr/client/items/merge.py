"""Merge an edit with changes by others, field by field."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Part = dict[str, Any]
_ABSENT: Final = object()
# Objects whose members count as fields: changing one variable must not remove the others.
NAMED: Final = frozenset({"variables"})


@dataclass(frozen=True, slots=True)
class Merge:
    """An edit merged into the current item.

    :ivar value: the merged part; conflicting fields have their current values.
    :ivar clashing: the fields that both sides changed differently, as ``detail.password``.
    """

    value: Part = field(repr=False)
    clashing: tuple[str, ...]


def merge(base: Part, edited: Part, now: Part, *, prefix: str) -> Merge:
    """Merge one part of an item.

    :param base: the part as the editor saw it.
    :param edited: the edited fields, and names within ``variables``; None removes one.
    :param now: the current part.
    """
    value, clashing = dict(now), list[str]()
    for name, wanted in edited.items():
        seen = base.get(name, _ABSENT)
        found = _merged(
            seen, _whole(name, seen, wanted), now.get(name, _ABSENT), f"{prefix}.{name}"
        )
        clashing += found.clashing
        if found.value is _ABSENT:
            value.pop(name, None)
        else:
            value[name] = found.value
    return Merge(value, tuple(clashing))


def _whole(name: str, seen: Any, wanted: Any) -> Any:
    """Return the whole field after the edit."""
    if wanted is None:
        return _ABSENT
    if name in NAMED and isinstance(wanted, Mapping):
        before = seen if isinstance(seen, Mapping) else {}
        return {each: text for each, text in {**before, **wanted}.items() if text is not None}
    return wanted


@dataclass(frozen=True, slots=True)
class _Found:
    value: Any
    clashing: tuple[str, ...] = ()


def _merged(base: Any, wanted: Any, now: Any, where: str) -> _Found:
    """Merge one field; members of an object, such as variables, are merged one by one."""
    if same(wanted, base) or same(wanted, now):
        return _Found(now)
    if same(now, base):
        return _Found(wanted)
    if isinstance(wanted, Mapping) and isinstance(now, Mapping):
        return _merged_within(base if isinstance(base, Mapping) else {}, wanted, now, where)
    return _Found(now, (where,))


def same(one: Any, other: Any) -> bool:
    """Check whether two values are equal as JSON, where true, 1 and 1.0 differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def _merged_within(
    base: Mapping[str, Any], wanted: Mapping[str, Any], now: Mapping[str, Any], where: str
) -> _Found:
    value, clashing = dict[str, Any](), list[str]()
    for name in dict.fromkeys([*now, *wanted, *base]):
        seen, ours, theirs = (each.get(name, _ABSENT) for each in (base, wanted, now))
        found = _merged(seen, ours, theirs, f"{where}.{name}")
        clashing += found.clashing
        if found.value is not _ABSENT:
            value[name] = found.value
    return _Found(value, tuple(clashing))


def changed(before: Part, after: Part, *, prefix: str) -> Iterator[str]:
    """Yield the fields in which two states of a part differ, as ``detail.password``."""
    for name in dict.fromkeys([*before, *after]):
        if not same(before.get(name, _ABSENT), after.get(name, _ABSENT)):
            yield f"{prefix}.{name}"
