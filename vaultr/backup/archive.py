"""The format of a backup before it is sealed: a tar with the dump, in parts, and the manifest.

The size of a dump is known only at its end, but in a tar each member's size comes first. So the
dump is split into parts, which ``cat dump/*`` joins again.
"""

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from vaultr.backup.errors import BackupError, InvalidBackup
from vaultr.backup.manifest import Manifest, TableDigest

PART_BYTES: Final = 1024 * 1024
MANIFEST: Final = "manifest.json"
_PART: Final = "dump/"
_BLOCK: Final = tarfile.BLOCKSIZE
_MAGIC_AT: Final = 257  # bytes of a tar header
_LARGEST_MANIFEST: Final = 16 * 1024 * 1024


class ArchiveSource:
    """A file to read: the archive of a dump that is still being created.

    :param tables: returns the digests of the tables, after the dump is read.
    :ivar error: the error that the dump raised; the library that called `read` may wrap it.
    """

    def __init__(
        self,
        dump: Iterable[bytes],
        manifest: Manifest,
        tables: Callable[[], Mapping[str, TableDigest]],
    ) -> None:
        self.manifest = manifest
        self._tables = tables
        self.error: BaseException | None = None
        self._blocks = self._made(dump)
        self._buffer = b""

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; nothing at the end."""
        try:
            while not self._buffer or size < 0:
                self._buffer += next(self._blocks)
        except StopIteration:
            pass
        except BaseException as error:
            self.error = error
            raise
        size = len(self._buffer) if size < 0 else size
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _made(self, dump: Iterable[bytes]) -> Iterator[bytes]:
        hashed, total = hashlib.sha256(), 0
        for number, part in enumerate(_parts(dump), 1):
            hashed.update(part)
            total += len(part)
            yield from self._member(f"{_PART}{number:09}", part)
        self.manifest = replace(
            self.manifest,
            tables=self._tables(),
            dump_bytes=total,
            dump_sha256=hashed.hexdigest(),
        )
        yield from self._member(MANIFEST, self.manifest.encode())
        yield bytes(2 * _BLOCK)

    def _member(self, name: str, content: bytes) -> Iterator[bytes]:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o600
        member.mtime = int(self.manifest.created_at.timestamp())
        yield member.tobuf(tarfile.USTAR_FORMAT)
        yield content
        yield bytes(-len(content) % _BLOCK)


def _parts(dump: Iterable[bytes]) -> Iterator[bytes]:
    """Split the output of a program into parts of one size; the last one may be shorter."""
    buffer = bytearray()
    for piece in dump:
        buffer += piece
        while len(buffer) >= PART_BYTES:
            yield bytes(buffer[:PART_BYTES])
            del buffer[:PART_BYTES]
    if buffer:
        yield bytes(buffer)


class ArchiveReader:
    """A file to write an archive to: forwards the dump, and keeps the manifest.

    :param on_dump: receives the dump, chunk by chunk.
    :ivar error: the error that `write` raised; the library that called it may wrap it.
    """

    def __init__(self, on_dump: Callable[[bytes], object]) -> None:
        self.error: BaseException | None = None
        self._on_dump = on_dump
        self._buffer = bytearray()
        self._member = ""
        self._left = 0
        self._padding = 0
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._manifest = bytearray()
        self._ended = False

    def write(self, data: bytes) -> int:
        """Process the next bytes of the archive.

        :raises InvalidBackup: this is not an archive of a backup.
        """
        try:
            self._buffer += data
            while self._buffer and not self._ended and self._advance():
                pass
            if self._ended:
                self._buffer.clear()
        except BaseException as error:
            self.error = error
            raise
        return len(data)

    def flush(self) -> None:
        """Do nothing: no bytes are buffered."""

    def finished(self) -> Manifest:
        """Return the manifest.

        :raises InvalidBackup: the archive is incomplete, or the dump does not match the manifest.
        """
        if not self._ended or not self._manifest:
            raise InvalidBackup("The backup is incomplete: its end is missing. Use another backup.")
        manifest = Manifest.decode(bytes(self._manifest))
        if (manifest.dump_bytes, manifest.dump_sha256) != (self._bytes, self._hash.hexdigest()):
            raise InvalidBackup("The dump in the backup was changed. Use another backup.")
        return manifest

    def _advance(self) -> bool:
        """Take one step; return False if it needs more bytes."""
        if self._left:
            self._take_content()
            return True
        if self._padding:
            skipped = min(self._padding, len(self._buffer))
            del self._buffer[:skipped]
            self._padding -= skipped
            return True
        if len(self._buffer) < _BLOCK:
            return False
        self._begin_member(bytes(self._buffer[:_BLOCK]))
        del self._buffer[:_BLOCK]
        return True

    def _begin_member(self, header: bytes) -> None:
        if not any(header):
            self._ended = True
            return
        try:
            member = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            raise InvalidBackup(
                "This file is not a backup that Vaultr made. Choose another file."
            ) from None
        if member.name != MANIFEST and not member.name.startswith(_PART):
            raise InvalidBackup("This file is not a backup that Vaultr made. Choose another file.")
        if member.name == MANIFEST and member.size > _LARGEST_MANIFEST:
            raise InvalidBackup("The backup's manifest is too large. Use another backup.")
        self._member, self._left = member.name, member.size
        self._padding = -member.size % _BLOCK

    def _take_content(self) -> None:
        taken = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(taken)
        if self._member == MANIFEST:
            self._manifest += taken
            return
        self._hash.update(taken)
        self._bytes += len(taken)
        self._on_dump(taken)


def looks_like_archive(beginning: bytes) -> bool:
    """Check whether a file begins like an unsealed archive."""
    named = beginning.startswith((_PART.encode(), MANIFEST.encode()))
    return named and beginning[_MAGIC_AT:].startswith(b"ustar")


def own_error(*parts: ArchiveSource | ArchiveReader) -> BackupError | OSError | None:
    """Return the original error, if a library has wrapped an error of these parts."""
    for part in parts:
        if isinstance(part.error, BackupError | OSError):
            return part.error
    return None
