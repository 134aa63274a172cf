"""Search bytes for any of many values, in plain form or in a usual encoding."""

import base64
from collections.abc import Iterable, Iterator

SHORTEST = 4
_START = 4


def disguises(value: str) -> Iterator[bytes]:
    """Yield the forms in which it could be kept: raw, JSON, hex, UTF-16, base64 at any offset."""
    raw = value.encode("utf-8")
    yield raw
    yield value.encode("unicode_escape")
    yield value.encode("utf-16-le")
    yield value.encode("utf-16-be")
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for offset in range(3):
        # What surrounds the value decides its first and last characters: those are left out.
        middle = base64.b64encode(b"\0" * offset + raw)
        first = (offset * 8 + 5) // 6
        last = (offset + len(raw)) * 8 // 6
        text = middle[first:last]
        if len(text) >= SHORTEST:
            yield text
            yield text.replace(b"+", b"-").replace(b"/", b"_")


def found(values: Iterable[str], heap: bytes) -> set[str]:
    """Return the values, of four and more characters, that are in ``heap`` in any form.

    In one pass, however many values there are.
    """
    by_start: dict[bytes, list[tuple[bytes, str]]] = {}
    for value in values:
        if len(value) >= SHORTEST:
            for form in set(disguises(value)):
                if len(form) >= SHORTEST:
                    by_start.setdefault(form[:_START], []).append((form, value))
    seen: set[str] = set()
    # One pass over all places; the few where one begins are then looked at closely.
    for place in range(len(heap) - _START + 1):
        for form, value in by_start.get(heap[place : place + _START], ()):
            if value not in seen and heap.startswith(form, place):
                seen.add(value)
    return seen


def strings(value: object) -> Iterator[str]:
    """Yield every text in a JSON value, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)
