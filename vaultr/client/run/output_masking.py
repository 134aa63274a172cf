"""Mask secrets in a stream of bytes, however it is split into chunks."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

MASK: Final = b"********"
# A shorter value ("1", "on") would mask half of the output and protect nothing.
MIN_BYTES: Final = 4
# Each line of a multi-line value is also masked on its own, if it is long enough.
_MIN_LINE_BYTES: Final = 8


class Mask:
    """The values to mask, also with the line ends that a terminal converts them to."""

    def __init__(self, values: Iterable[str]) -> None:
        forms: set[bytes] = set()
        for value in values:
            raw = value.encode(errors="surrogatepass")
            # Programs print a value without its final newline, like $(…) in a shell.
            forms |= {raw, raw.strip()}
            forms.add(raw.replace(b"\n", b"\r\n"))
            if b"\n" in raw:
                lines = (line.strip(b"\r") for line in raw.split(b"\n"))
                forms.update(line for line in lines if len(line) >= _MIN_LINE_BYTES)
        self._forms = sorted(form for form in forms if len(form) >= MIN_BYTES)
        longest_first = sorted(self._forms, key=len, reverse=True)
        either = b"|".join(map(re.escape, longest_first))
        self._any = re.compile(either) if longest_first else None
        self._each = re.compile(b"(?=(" + either + b"))")
        self._first = re.compile(
            b"|".join(re.escape(each) for each in {f[:1] for f in self._forms})
        )
        self._longest = len(longest_first[0]) if longest_first else 0

    def stream(self) -> "MaskedStream":
        """Return the masking of one stream."""
        return MaskedStream(self)

    def ranges(self, data: bytes) -> list[tuple[int, int]]:
        """Return the ranges of all secrets, in order; merge those that overlap or touch."""
        if self._any is None or self._any.search(data) is None:
            return []
        ranges: list[tuple[int, int]] = []
        for match in self._each.finditer(data):
            begin, end = match.span(1)
            if ranges and begin <= ranges[-1][1]:
                ranges[-1] = ranges[-1][0], max(end, ranges[-1][1])
            else:
                ranges.append((begin, end))
        return ranges

    def partial_start(self, data: bytes) -> int:
        """Return where an incomplete secret may begin; the length if none may."""
        if self._any is None:
            return len(data)
        for match in self._first.finditer(data, max(0, len(data) - self._longest + 1)):
            if self._is_prefix(data[match.start() :]):
                return match.start()
        return len(data)

    def _is_prefix(self, tail: bytes) -> bool:
        index = bisect_left(self._forms, tail)
        # A complete secret is not enough, because a longer one may start with it.
        index += index < len(self._forms) and self._forms[index] == tail
        return index < len(self._forms) and self._forms[index].startswith(tail)


class MaskedStream:
    """One stream. It buffers only what may be the beginning of a secret."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._buffer = b""

    def feed(self, data: bytes) -> bytes:
        """Return the masked output for the next chunk."""
        data = self._buffer + data
        ranges = self._mask.ranges(data)
        cut = self._mask.partial_start(data)
        for begin, end in reversed(ranges):
            # A secret that overlaps with an incomplete one is written together with it.
            if begin < cut <= end and cut < len(data):
                cut = begin
        self._buffer = data[cut:]
        return _masked(data[:cut], [each for each in ranges if each[1] <= cut])

    def end(self) -> bytes:
        """Return the masked rest of the buffer, at the end of the stream."""
        data, self._buffer = self._buffer, b""
        return _masked(data, self._mask.ranges(data))


def _masked(data: bytes, ranges: list[tuple[int, int]]) -> bytes:
    parts, position = [], 0
    for begin, end in ranges:
        parts += [data[position:begin], MASK]
        position = end
    return b"".join([*parts, data[position:]])
