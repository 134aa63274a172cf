"""Seal backups for age recipients, and open them with an identity.

A process that makes backups has only the recipients' public keys, and cannot open them.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import pyrage
from pyrage import x25519

from vaultr.backup.archive import ArchiveReader, ArchiveSource, looks_like_archive, own_error
from vaultr.backup.errors import InvalidBackup, NotConfigured
from vaultr.backup.manifest import Manifest
from vaultr.settings.model import Settings

_AGE: Final = b"age-encryption.org/v1\n"
_BEGINNING: Final = 512
_COPY_BYTES: Final = 64 * 1024


class ReadableFile(Protocol):
    """A file to read."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes; an empty value at the end."""


class WritableFile(Protocol):
    """A file to write."""

    def write(self, data: bytes, /) -> Any:
        """Write all of ``data``."""

    def flush(self) -> Any:
        """Write the buffered bytes."""


def recipients(settings: Settings) -> list[x25519.Recipient]:
    """Return the public keys of BACKUP_RECIPIENT; none if it is not set in development.

    :raises NotConfigured: one is invalid, or none is set in production.
    """
    names = re.split(r"[\s,]+", (settings.backup_recipient or "").strip(", \n"))
    names = [name for name in names if name]
    if not names and settings.production:
        raise NotConfigured(
            "BACKUP_RECIPIENT is missing, so the backup would not be encrypted. Generate a key"
            " with `age-keygen`, store it away from this server, and set BACKUP_RECIPIENT to its"
            " public key (age1…)."
        )
    try:
        return [x25519.Recipient.from_str(name) for name in names]
    except pyrage.RecipientError:
        raise NotConfigured(
            "BACKUP_RECIPIENT is not a list of age public keys (age1…), separated by commas."
        ) from None


def identities(settings: Settings) -> list[x25519.Identity]:
    """Return the private keys of BACKUP_IDENTITY_FILE, if it is set.

    :raises NotConfigured: the file cannot be read, or contains no age key.
    """
    path = settings.backup_identity_file
    return _read_identities(path) if path is not None else []


def _read_identities(path: Path) -> list[x25519.Identity]:
    try:
        lines = path.read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise NotConfigured(
            f"BACKUP_IDENTITY_FILE cannot be read: {reason}. Check its path and mode."
        ) from None
    try:
        found = [
            x25519.Identity.from_str(line) for line in lines if line.startswith("AGE-SECRET-KEY")
        ]
    except pyrage.IdentityError:
        found = []
    if not found:
        raise NotConfigured(
            "BACKUP_IDENTITY_FILE contains no age private key (AGE-SECRET-KEY-1…). Set it to a file"
            " that `age-keygen` wrote."
        )
    return found


def seal(source: ArchiveSource, target: WritableFile, keys: list[x25519.Recipient]) -> None:
    """Write an archive to a file, sealed for all recipients, or unsealed if there are none."""
    if not keys:
        while piece := source.read(_COPY_BYTES):
            target.write(piece)
        return
    watched = _Watched(target)
    try:
        pyrage.encrypt_io(source, watched, keys)
    except (pyrage.EncryptError, OSError) as error:
        raise own_error(source) or watched.error or error from None


def open_archive(
    source: ReadableFile, settings: Settings, on_dump: Callable[[bytes], object] = len
) -> Manifest:
    """Read a backup from beginning to end, check that it is complete, and return its manifest.

    :param on_dump: receives the dump in chunks, before the end is checked.
    :raises InvalidBackup: it is not a backup, or it is incomplete, changed, or sealed for another
        key.
    :raises NotConfigured: it is sealed, and BACKUP_IDENTITY_FILE is missing.
    """
    beginning = _read_beginning(source)
    whole, reader = _Rewound(beginning, source), ArchiveReader(on_dump)
    if beginning.startswith(_AGE):
        _decrypt(whole, reader, settings)
    elif looks_like_archive(beginning):
        while piece := whole.read(_COPY_BYTES):
            reader.write(piece)
    else:
        raise InvalidBackup("This file is not a backup that Vaultr made. Choose another file.")
    return reader.finished()


def _decrypt(source: "_Rewound", reader: ArchiveReader, settings: Settings) -> None:
    keys = identities(settings)
    if not keys:
        raise NotConfigured(
            "The backup is sealed, and BACKUP_IDENTITY_FILE is missing. Set it to the file of the"
            " age private key."
        )
    try:
        pyrage.decrypt_io(source, reader, keys)
    except (pyrage.DecryptError, OSError) as error:
        if (own := own_error(reader)) is not None:
            raise own from None
        if source.error is not None:
            raise source.error from None
        if "matching keys" in str(error).lower():
            raise InvalidBackup(
                "No key in BACKUP_IDENTITY_FILE opens the backup: it is sealed for another"
                " recipient. Set BACKUP_IDENTITY_FILE to the private key of that recipient."
            ) from None
        raise InvalidBackup(
            "The backup is truncated or was changed: it cannot be decrypted to its end."
            " Use another backup."
        ) from None


def _read_beginning(source: ReadableFile) -> bytes:
    beginning = b""
    while len(beginning) < _BEGINNING and (piece := source.read(_BEGINNING - len(beginning))):
        beginning += piece
    return beginning


class _Watched:
    """A file that stores its write error, because the encryption would wrap it."""

    def __init__(self, file: WritableFile) -> None:
        self.error: OSError | None = None
        self._file = file

    def write(self, data: bytes) -> int:
        """Write all of ``data``."""
        try:
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


class _Rewound:
    """A file whose beginning was already read.

    :ivar error: the error that the file raised, because the decryption would wrap it.
    """

    def __init__(self, beginning: bytes, rest: ReadableFile) -> None:
        self.error: OSError | None = None
        self._beginning = beginning
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; an empty value at the end."""
        if self._beginning:
            size = len(self._beginning) if size < 0 else size
            taken, self._beginning = self._beginning[:size], self._beginning[size:]
            return taken
        try:
            return self._rest.read(size)
        except OSError as error:
            self.error = error
            raise
