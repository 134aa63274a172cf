"""The markers of a canary: a client plants them, and no server may ever have them in plaintext.

`vaultr canary plant` writes them to a file, and `flask canary search` reads that file.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from vaultr.protocol.encoding import b64, unb64

FORMAT: Final = "vaultr-canary/1"
SHORTEST_MARKER: Final = 8  # bytes: a shorter value occurs somewhere by chance


@dataclass(frozen=True, slots=True)
class Marker:
    """One planted value.

    :ivar name: where it was planted, such as ``login.password``.
    :ivar value: a text, or the bytes of a key.
    """

    name: str
    value: str | bytes = field(repr=False)


def to_json(markers: Iterable[Marker]) -> list[dict[str, str]]:
    """Return the JSON form of markers, as in the file."""
    return [
        {"name": marker.name, "text": marker.value}
        if isinstance(marker.value, str)
        else {"name": marker.name, "base64url": b64(marker.value)}
        for marker in markers
    ]


def read_markers(text: str) -> list[Marker]:
    """Return the markers of a canary file.

    :raises ValueError: the text is not a canary file; the message contains no part of the text.
    """
    try:
        content = json.loads(text)
    except ValueError:
        raise ValueError("it is not a file of `vaultr canary plant`") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("it is not a file of `vaultr canary plant`")
    listed = content.get("markers")
    if not isinstance(listed, list) or not listed:
        raise ValueError("it has no markers")
    found = [_marker(entry) for entry in listed]
    if len({marker.name for marker in found}) < len(found):
        raise ValueError("it has two markers of one name")
    return found


def _marker(one: object) -> Marker:
    name = one.get("name") if isinstance(one, dict) else None
    if not isinstance(one, dict) or not isinstance(name, str) or not name:
        raise ValueError("it has a marker without a name")
    text, key = one.get("text"), one.get("base64url")
    try:
        value = text if isinstance(text, str) else unb64(key) if isinstance(key, str) else ""
    except ValueError:
        value = ""
    size = len(value.encode("utf-8", "replace")) if isinstance(value, str) else len(value)
    if size < SHORTEST_MARKER:
        raise ValueError(f"it has a marker of fewer than {SHORTEST_MARKER} bytes")
    return Marker(name, value)
