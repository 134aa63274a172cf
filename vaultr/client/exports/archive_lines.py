"""Read an account's archive line by line: one record per line, each within a size limit.

docs/vaultr-archive.schema.json describes the document as a whole.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Literal

from vaultr.client.errors import IntegrityError, VaultrError
from vaultr.client.strict_json import Json, read_object

FORMAT: Final = "vaultr-export/1"
RECORD_BYTES: Final = 2 * 1024 * 1024
START: Final = b'{"format":"vaultr-export/'
_FIRST: Final = f'{{"format":"{FORMAT}",'.encode()
_OBJECT: Final = re.compile(rb'"(account|key_set)":(\{.*\}),')
_VAULT_OPEN: Final = b',"items":['

Kind = Literal[
    "account", "key_set", "session", "machine", "vault", "item", "version", "entry", "end", "event"
]


class RecordInvalid(IntegrityError):
    """A record of an archive has a missing or invalid field."""


class ArchiveInvalid(VaultrError):
    """The archive cannot be trusted, so none of it was used."""

    exit_code = 1
    advice = "Nothing was imported or written. Use the unchanged file."


@dataclass(frozen=True, slots=True)
class Record:
    """One record; ``end`` follows the last entry of a vault and has no value."""

    kind: Kind
    value: Json = field(repr=False)
    line: int


def is_archive(start: bytes) -> bool:
    """Check whether a file that starts with these bytes is an archive, of any version."""
    return start.startswith(START)


class _Lines:
    """The lines of a file, each within the limit."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0

    def next(self) -> bytes:
        """Return the next line without its end.

        :raises ArchiveInvalid: the file ends in the middle, or the line is too long.
        """
        line = self._file.readline(RECORD_BYTES + 2)
        self.number += 1
        if len(line) > RECORD_BYTES + 1:
            mebibytes = RECORD_BYTES // 1024 // 1024
            raise self.invalid(f"is longer than {mebibytes} MiB")
        if not line.endswith(b"\n"):
            # The last line of the document may have no line end.
            if line != b"]}":
                raise ArchiveInvalid(
                    f"The archive ends in the middle (line {self.number}): it was cut off."
                )
            return line
        return line[:-1]

    def invalid(self, what: str) -> ArchiveInvalid:
        """Return the error for the current line."""
        return ArchiveInvalid(f"Line {self.number} of the archive {what}.")

    def expect(self, *expected: bytes) -> bytes:
        """Return the next line, which must be one of ``expected``."""
        line = self.next()
        if line not in expected:
            raise self.invalid("is of another kind than the format requires here")
        return line

    def parsed(self, data: bytes) -> Json:
        """Parse the record in the current line."""
        try:
            return read_object(data)
        except ValueError:
            raise self.invalid("is not a JSON object") from None


def records(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of an archive in order.

    :raises ArchiveInvalid: it has another version, or is truncated, malformed or too long.
    """
    lines = _Lines(file)
    if lines.next() != _FIRST:
        raise ArchiveInvalid(
            f"This is not an archive of the format {FORMAT}: it is damaged, or of a newer version."
        )
    yield _object(lines, "account")
    yield _object(lines, "key_set")
    lines.expect(b'"sessions":[')
    yield from _listed(lines, "session", (b"],",))
    lines.expect(b'"machines":[')
    yield from _listed(lines, "machine", (b"],",))
    lines.expect(b'"vaults":[')
    yield from _vaults(lines)
    lines.expect(b'"audit":[')
    yield from _listed(lines, "event", (b"]}",))
    if file.read(1):
        raise ArchiveInvalid("The archive continues after its end: something was added to it.")


def _object(lines: _Lines, kind: Kind) -> Record:
    match = _OBJECT.fullmatch(lines.next())
    if match is None or match[1] != kind.encode():
        raise lines.invalid(f"has no {kind}")
    return Record(kind, lines.parsed(match[2]), lines.number)


def _listed(lines: _Lines, kind: Kind, ends: tuple[bytes, ...]) -> Generator[Record, None, bytes]:
    """Yield the records of one list.

    :param ends: the lines that may end the list.
    :return: the line that ended it.
    """
    may_follow, must_follow = True, False
    while (line := lines.next()) not in ends:
        if not may_follow or not line.startswith(b"{"):
            raise lines.invalid("is neither a record nor the end of its list")
        may_follow = must_follow = line.endswith(b",")
        yield Record(kind, lines.parsed(line.removesuffix(b",")), lines.number)
    if must_follow:
        raise lines.invalid("ends a list in which a record is missing")
    return line


def _vaults(lines: _Lines) -> Iterator[Record]:
    may_follow, must_follow = True, False
    while (line := lines.next()) != b"],":
        if not may_follow or not line.endswith(_VAULT_OPEN):
            raise lines.invalid("does not begin a vault")
        yield Record("vault", lines.parsed(line.removesuffix(_VAULT_OPEN) + b"}"), lines.number)
        yield from _listed(lines, "item", (b'],"versions":[',))
        yield from _listed(lines, "version", (b'],"entries":[',))
        end = yield from _listed(lines, "entry", (b"]},", b"]}"))
        yield Record("end", {}, lines.number)
        may_follow = must_follow = end == b"]},"
    if must_follow:
        raise lines.invalid("ends a list in which a vault is missing")
