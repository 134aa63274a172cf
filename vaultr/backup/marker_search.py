"""Search bytes for many values: plain, in the usual encodings, and in compressed data."""

import base64
import bz2
import contextlib
import html
import json
import lzma
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SHORTEST: Final = 4  # bytes: shorter values and forms occur everywhere, and are not searched
_LONGEST_START: Final = 8
_FEW_STARTS: Final = 400
_DEPTH: Final = 3  # a compressed file in a compressed archive in a compressed file
_PIECE_BYTES: Final = 1024 * 1024
_BASE64_OFFSETS: Final = 3
_ZIP_HEADER: Final = 30
_ZIP_DEFLATED: Final = 8
# gzip, bzip2, xz, Zstandard, zip, and zlib at its four levels.
_SIGNATURE: Final = re.compile(
    rb"\x1f\x8b\x08|BZh[1-9]1AY&SY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|PK\x03\x04|\x78[\x01\x5e\x9c\xda]"
)
_DAMAGED: Final = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError)
_LONGEST_SIGNATURE: Final = 512  # bytes: a zip header with the name of its file


def forms(value: str | bytes) -> set[bytes]:
    """Return the forms in which a value may be stored, except those that are too short."""
    raw = value if isinstance(value, bytes) else value.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for offset in range(_BASE64_OFFSETS):
        # Leave out the first and last characters, because they depend on what surrounds the value.
        text = base64.b64encode(bytes(offset) + raw)
        middle = text[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        found |= {middle, middle.replace(b"+", b"-").replace(b"/", b"_")}
    escaped = quote(raw, safe="")
    found |= {escaped.encode(), re.sub("%..", lambda hit: hit[0].lower(), escaped).encode()}
    found.add(quote_plus(raw).encode())
    if isinstance(value, str):
        found |= {value.encode("utf-16-le"), value.encode("utf-16-be"), html.escape(value).encode()}
        found.add(value.encode("unicode_escape"))
        for is_ascii in (False, True):
            once = json.dumps(value, ensure_ascii=is_ascii)[1:-1]
            twice = json.dumps(once, ensure_ascii=is_ascii)[1:-1]  # JSON inside a JSON string
            found |= {once.encode(), twice.encode()}
    return {form for form in found if len(form) >= SHORTEST}


class _Index:
    """All forms of all values, indexed by their beginning."""

    def __init__(self, values: Mapping[str, str | bytes]) -> None:
        listed = [(form, name) for name, value in values.items() for form in forms(value)]
        lengths = [len(form) for form, _ in listed] or [SHORTEST]
        self.longest = max(lengths)
        self._length = min(_LONGEST_START, *lengths)
        self._by_start: dict[bytes, list[tuple[bytes, str]]] = {}
        for form, name in listed:
            self._by_start.setdefault(form[: self._length], []).append((form, name))

    def names_in(self, window: bytes) -> Iterator[str]:
        """Yield the name of a value for each of its forms in ``window``."""
        for place, start in self._places(window):
            for form, name in self._by_start[start]:
                if window.startswith(form, place):
                    yield name

    def _places(self, window: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield each position where a form may begin, with the first bytes of that form.

        Search for each beginning by itself; if there are many, look at each position once instead.
        """
        if len(self._by_start) > _FEW_STARTS:
            for place in range(len(window) - self._length + 1):
                start = window[place : place + self._length]
                if start in self._by_start:
                    yield place, start
            return
        for start in self._by_start:
            place = window.find(start)
            while place >= 0:
                yield place, start
                place = window.find(start, place + 1)


class Search:
    """A search in a stream of any length, with little memory.

    :ivar found: names of the values found.
    :ivar size: number of bytes searched, before decompression.
    """

    def __init__(self, values: Mapping[str, str | bytes]) -> None:
        self.found: set[str] = set()
        self.size = 0
        self._stream = _Stream(_Index(values), self.found, _DEPTH)

    def feed(self, data: bytes) -> None:
        """Search the next bytes of the stream."""
        self.size += len(data)
        for at in range(0, len(data), _PIECE_BYTES):
            self._stream.feed(data[at : at + _PIECE_BYTES])

    def end(self) -> None:
        """End the stream: the next bytes belong to another one."""
        self._stream.end()


class _Stream:
    """The bytes of one stream, or of a compressed stream found in it."""

    def __init__(self, index: _Index, found: set[str], depth: int) -> None:
        self._index, self._found, self._depth = index, found, depth
        self._keep = max(index.longest, _LONGEST_SIGNATURE)
        self._tail = b""
        self._inner: list[_Unpacking] = []

    def feed(self, data: bytes) -> None:
        self._inner = [inner for inner in self._inner if inner.feed(data)]
        window = self._tail + data
        self._found.update(self._index.names_in(window))
        end = max(0, len(window) - self._keep)
        self._unpack(window, end)
        self._tail = window[end:]

    def end(self) -> None:
        self._unpack(self._tail, len(self._tail))
        for inner in self._inner:
            inner.end()
        self._inner, self._tail = [], b""

    def _unpack(self, window: bytes, end: int) -> None:
        """Start unpacking data with a signature before ``end``; later data is passed again."""
        if not self._depth:
            return  # a stream that unpacks to itself would never end
        for sign in _SIGNATURE.finditer(window):
            if sign.start() >= end:
                return
            begin, unpack = _unpacker(window, sign)
            if unpack is not None:
                inner = _Unpacking(unpack, _Stream(self._index, self._found, self._depth - 1))
                if inner.feed(window[begin:]):
                    self._inner.append(inner)


def _unpacker(window: bytes, sign: re.Match[bytes]) -> tuple[int, Any]:
    """Return the offset of compressed data, and its decompressor; None if it is not compressed."""
    kind, begin = sign[0], sign.start()
    if kind.startswith(b"BZh"):
        return begin, bz2.BZ2Decompressor()
    if kind.startswith(b"\xfd"):
        return begin, lzma.LZMADecompressor()
    if kind.startswith(b"\x28"):
        return begin, zstd.ZstdDecompressor()
    if not kind.startswith(b"PK"):
        return begin, zlib.decompressobj(zlib.MAX_WBITS | 32)  # the header decides
    header = window[begin : begin + _ZIP_HEADER]
    if int.from_bytes(header[8:10], "little") != _ZIP_DEFLATED:
        return begin, None
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return begin + _ZIP_HEADER + names, zlib.decompressobj(-zlib.MAX_WBITS)


class _Unpacking:
    """A compressed stream that is being unpacked and searched."""

    def __init__(self, unpack: Any, stream: _Stream) -> None:
        self._stream = stream
        self._unpack = unpack

    def feed(self, data: bytes) -> bool:
        """Unpack the next bytes; return False at the end, or if they are not compressed data."""
        # Damaged, or not compressed data: the output before the error was searched.
        with contextlib.suppress(*_DAMAGED):
            while True:
                self._stream.feed(self._unpack.decompress(data, _PIECE_BYTES))
                data = getattr(self._unpack, "unconsumed_tail", b"")
                if self._unpack.eof:
                    break
                if not data and getattr(self._unpack, "needs_input", True):
                    return True
        self.end()
        return False

    def end(self) -> None:
        """Search the buffered bytes; the rest of the stream is missing."""
        self._stream.end()


def found_in(values: Iterable[str], window: bytes) -> set[str]:
    """Return the values, of at least four characters, that ``window`` contains in any form."""
    search = Search({value: value for value in values if len(value) >= SHORTEST})
    search.feed(window)
    search.end()
    return search.found
