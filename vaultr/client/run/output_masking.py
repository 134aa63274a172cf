"""Covers secrets in a stream of bytes, however it is cut into pieces."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

MASK: Final = b"********"
# A shorter value ("1", "on") would cover half of what a program says and protect nothing.
LEAST_BYTES: Final = 4
# Of a value of several lines each line that is long enough is covered by itself, too.
_LEAST_LINE_BYTES: Final = 8


class Mask:
    """What is covered: the values as they are, also where a terminal turned their line ends."""

    def __init__(self, values: Iterable[str]) -> None:
        forms: set[bytes] = set()
        for value in values:
            raw = value.encode(errors="surrogatepass")
            # Programs print a value without the newline at its end, as a shell's $(…) gives it.
            forms |= {raw, raw.strip()}
            forms.add(raw.replace(b"\n", b"\r\n"))
            if b"\n" in raw:
                lines = (line.strip(b"\r") for line in raw.split(b"\n"))
                forms.update(line for line in lines if len(line) >= _LEAST_LINE_BYTES)
        self._forms = sorted(form for form in forms if len(form) >= LEAST_BYTES)
        longest_first = sorted(self._forms, key=len, reverse=True)
        either = b"|".join(map(re.escape, longest_first))
        self._any = re.compile(either) if longest_first else None
        self._each = re.compile(b"(?=(" + either + b"))")
        self._first = re.compile(
            b"|".join(re.escape(each) for each in {f[:1] for f in self._forms})
        )
        self._longest = len(longest_first[0]) if longest_first else 0

    def stream(self) -> "MaskedStream":
        """Begin a stream."""
        return MaskedStream(self)

    def covered(self, data: bytes) -> list[tuple[int, int]]:
        """Give the places of all secrets, in order; those that overlap or touch are one."""
        if self._any is None or self._any.search(data) is None:
            return []
        places: list[tuple[int, int]] = []
        for found in self._each.finditer(data):
            begin, end = found.span(1)
            if places and begin <= places[-1][1]:
                places[-1] = places[-1][0], max(end, places[-1][1])
            else:
                places.append((begin, end))
        return places

    def unfinished(self, data: bytes) -> int:
        """Tell where a secret may have begun that is not there in full; the length, if none."""
        if self._any is None:
            return len(data)
        for found in self._first.finditer(data, max(0, len(data) - self._longest + 1)):
            if self._begins_one(data[found.start() :]):
                return found.start()
        return len(data)

    def _begins_one(self, tail: bytes) -> bool:
        place = bisect_left(self._forms, tail)
        # A whole one is not enough: a longer one may begin with it.
        place += place < len(self._forms) and self._forms[place] == tail
        return place < len(self._forms) and self._forms[place].startswith(tail)


class MaskedStream:
    """One stream; holds back what may be the beginning of a secret, and nothing else."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, and give what can be shown."""
        data = self._held + data
        places = self._mask.covered(data)
        cut = self._mask.unfinished(data)
        for begin, end in reversed(places):
            # What overlaps with a secret that is still to come is shown together with it.
            if begin < cut <= end and cut < len(data):
                cut = begin
        self._held = data[cut:]
        return _shown(data[:cut], [place for place in places if place[1] <= cut])

    def end(self) -> bytes:
        """Give what was held back, when nothing more comes."""
        data, self._held = self._held, b""
        return _shown(data, self._mask.covered(data))


def _shown(data: bytes, places: list[tuple[int, int]]) -> bytes:
    pieces, at = [], 0
    for begin, end in places:
        pieces += [data[at:begin], MASK]
        at = end
    return b"".join([*pieces, data[at:]])
