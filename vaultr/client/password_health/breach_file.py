"""Look up a hash in a file of breached passwords, which is too large to read."""

import hashlib
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Final

from vaultr.client.errors import VaultrError

# As written by the downloader of Have I Been Pwned: sorted, one hash and its count per line.
_LINE: Final = re.compile(rb"([0-9A-Fa-f]{40})(?::(\d{1,12}))?\s*")
_LINE_BYTES: Final = 64


class BreachFileInvalid(VaultrError):
    """The file is not a sorted list of SHA-1 hashes."""

    exit_code = 1


def digest_of(password: str) -> bytes:
    """Return a password's hash, as in lists of breached passwords."""
    return hashlib.sha1(password.encode(errors="surrogatepass"), usedforsecurity=False).digest()


class BreachFile:
    """A sorted file of SHA-1 hashes in hex, each followed by a colon and a count.

    :raises BreachFileInvalid: its first line has another form.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._size = os.fstat(self._file.fileno()).st_size
        try:
            self._line_at(0)
        except BreachFileInvalid:
            self._file.close()
            raise

    def __enter__(self) -> "BreachFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def count_of(self, password: str) -> int:
        """Return how often a password was seen in breaches."""
        return self.count(digest_of(password))

    def count(self, digest: bytes) -> int:
        """Return how often a hash was seen in breaches; 0 if it is not in the file."""
        wanted = digest.hex().upper().encode()
        low, high = 0, self._size
        while low < high:
            middle = (low + high) // 2
            start, found, count = self._line_at(self._line_start(middle))
            if found == wanted:
                return count
            if found < wanted:
                low = max(middle + 1, start)
            else:
                high = middle
        return 0

    def _line_start(self, position: int) -> int:
        """Return where the line with this byte begins."""
        begin = max(0, position - _LINE_BYTES)
        self._file.seek(begin)
        before = self._file.read(position - begin)
        newline = before.rfind(b"\n")
        return begin + newline + 1 if newline >= 0 or begin == 0 else begin

    def _line_at(self, start: int) -> tuple[int, bytes, int]:
        """Return where the next line begins, and the hash and count in this one."""
        self._file.seek(start)
        line = self._file.readline(_LINE_BYTES)
        found = _LINE.fullmatch(line)
        if found is None:
            raise BreachFileInvalid(
                "The breach file must be a sorted list of SHA-1 hashes, one HASH:COUNT per line."
            )
        return start + len(line), found[1].upper(), int(found[2] or 1)
