"""The gateway's callers: names, hashed tokens, and the references that each may read.

The file contains no secrets: a token of 32 random bytes cannot be guessed from its hash.
"""

import functools
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items.references import SCHEME, Reference
from vaultr.client.storage.secret_files import save
from vaultr.client.strict_json import Fields, read_object
from vaultr.protocol.encoding import b64

TOKEN_PREFIX: Final = "vgt_"
_TOKEN_BYTES: Final = 32
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_ANY: Final = "*"
_PARTS: Final = 3  # vault, item and field


class CallersInvalid(VaultrError):
    """The file of the gateway's callers cannot be read."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller: its name, the SHA-256 of its token, and the references that it may read."""

    name: str
    token_sha256: str
    allow: tuple[str, ...]

    def may_read(self, reference: Reference) -> bool:
        """Check whether a pattern of the caller covers a reference, part by part.

        A pattern without a field, or with ``*`` as its last part, covers everything below. To read
        a whole item, a pattern must cover all its fields.
        """
        wanted = (reference.vault, reference.item, reference.field)
        return any(_covers(_pattern(each), wanted) for each in self.allow)

    def to_json(self) -> dict[str, Any]:
        """Return it in the form of the file."""
        return {"name": self.name, "token_sha256": self.token_sha256, "allow": [*self.allow]}


def _covers(pattern: Sequence[str], wanted: Sequence[str | None]) -> bool:
    for part, name in zip(pattern, wanted, strict=False):
        if name is None:  # the whole item
            return part == _ANY
        if not fnmatchcase(name, part):
            return False
    return True


@functools.cache  # every request uses the same few
def _pattern(text: str) -> tuple[str, ...]:
    """Return the parts of a pattern such as ``vaultr://prod/*``.

    :raises UsageError: it is not a reference with one to three parts.
    """
    parts = text.removeprefix(SCHEME).split("/")
    if not text.startswith(SCHEME) or not 1 < len(parts) <= _PARTS or not all(parts):
        raise UsageError(
            f"--allow needs {SCHEME}VAULT/ITEM or {SCHEME}VAULT/ITEM/FIELD; * stands for any part."
        )
    # The same rules as for references: a / in a name is written as %2F.
    whole = Reference.parse(SCHEME + "/".join([*parts, _ANY][:_PARTS]))
    return whole.vault, whole.item, *([whole.field or ""] if len(parts) == _PARTS else [])


class Callers:
    """The callers in a file, which is read again after each change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[object, tuple[Caller, ...]] | None = None
        self.listed()

    def listed(self) -> tuple[Caller, ...]:
        """Return the callers.

        :raises CallersInvalid: the file is missing or malformed.
        """
        try:
            seen = self._path.stat()
            stamp = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, read_callers(self._path))
        except OSError as error:
            raise CallersInvalid(f"{self._path}: {error.strerror}") from None
        return self._read[1]

    def find(self, token: str) -> Caller | None:
        """Return the caller with this token; None if no caller has it."""
        found, match = hash_of(token), None
        for each in self.listed():  # compare with all of them, so that the time reveals nothing
            if hmac.compare_digest(each.token_sha256, found):
                match = each
        return match


def read_callers(path: Path) -> tuple[Caller, ...]:
    """Read a file of callers.

    :raises CallersInvalid: it is malformed; the message names the member.
    """
    try:
        listed = Fields(read_object(path.read_bytes()), path.name, CallersInvalid).objects(
            "callers"
        )
        callers = tuple(
            Caller(each.text("name"), each.text("token_sha256"), _allowed(each)) for each in listed
        )
    except ValueError as error:
        raise CallersInvalid(f"{path}: {error}") from None
    for each in callers:
        if not _NAME.fullmatch(each.name) or not _HASH.fullmatch(each.token_sha256):
            raise CallersInvalid(f"{path}: a caller has an invalid name or token_sha256")
    return callers


def _allowed(fields: Fields) -> tuple[str, ...]:
    listed = fields.raw().get("allow")
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise CallersInvalid("allow is not a list of references")
    for each in listed:
        try:
            _pattern(each)
        except UsageError as error:
            raise CallersInvalid(str(error)) from None
    return tuple(listed)


def hash_of(token: str) -> str:
    """Return the hash of a token, as stored in the file."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def add_caller(path: Path, name: str, allow: Sequence[str]) -> str:
    """Add a caller to the file, or replace the one of this name; create the file if necessary.

    :return: the caller's token, which is not stored anywhere.
    :raises UsageError: the name or a reference is invalid; nothing was written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("The name of a caller has lower-case letters, digits, - and . only.")
    for each in allow:
        _pattern(each)
    before = read_callers(path) if path.exists() else ()
    token = TOKEN_PREFIX + b64(secrets.token_bytes(_TOKEN_BYTES))
    new = Caller(name, hash_of(token), tuple(allow))
    callers = [*(each for each in before if each.name != name), new]
    text = json.dumps({"callers": [each.to_json() for each in callers]}, indent=2)
    save(path, f"{text}\n".encode(), force=True)
    return token
