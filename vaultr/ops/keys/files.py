"""A keyring in a file or variable, and the three steps of a rotation.

A new key is first announced: it is added at the end, so that every server can verify and open with
it before any server signs or seals with it. Then it is moved to the front, and the old key stays
for what it signed and sealed. Finally the old key is removed.
"""

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vaultr.errors import Conflict, NotFound, Unprocessable
from vaultr.protocol.encoding import b64
from vaultr.settings.types import Keys

_KEY_BYTES = 32
# The id contains the time of generation, which shows which of two keys is newer.
_MOMENT = "%Y%m%d%H%M%S"
_DRAWN = re.compile(r"(\d{14})-[0-9a-f]{4}")


class KeyNotFound(NotFound):
    """This key or keyring does not exist. Check its name and --dir."""


class WrongRotationStep(Conflict):
    """This step is not the next one of the rotation. Run `flask keys status`."""


class NoKeys(Unprocessable):
    """The file or variable does not contain a keyring."""


def new_id(now: datetime) -> str:
    """Return an id for a new key: the time in UTC, and four random hexadecimal digits."""
    return f"{now:{_MOMENT}}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class WrittenKeyring:
    """A keyring as written in a file; the first key is in use."""

    name: str
    by_id: Mapping[str, bytes]

    @property
    def in_use(self) -> str:
        """Return the id of the key that signs and seals."""
        return next(iter(self.by_id))

    @property
    def announced(self) -> str | None:
        """Return the id of an announced key: one that was generated after the key in use."""
        *_, last = self.by_id
        return last if _drawn(last) > _drawn(self.in_use) else None

    def text(self) -> str:
        """Return the text of the setting, one key on each line."""
        return "\n".join(f"{key_id}:{b64(key)}" for key_id, key in self.by_id.items())

    def with_new(self, now: datetime) -> "WrittenKeyring":
        """Return the keyring with a new, announced key.

        :raises WrongRotationStep: a key is already announced.
        """
        if self.announced is not None:
            raise WrongRotationStep(
                f"{self.name}: {self.announced} is already announced. Reload every server and "
                f"worker, then run `flask keys rotate {self.name} --reloaded`."
            )
        # Its id must be later than all other ids, even those that were generated in the same second
        # or with a clock that was ahead.
        newest = max(_drawn(key_id) for key_id in self.by_id)
        if newest >= f"{now:{_MOMENT}}":
            now = datetime.strptime(newest, _MOMENT).replace(tzinfo=UTC) + timedelta(seconds=1)
        return WrittenKeyring(
            self.name, {**self.by_id, new_id(now): secrets.token_bytes(_KEY_BYTES)}
        )

    def switched(self) -> "WrittenKeyring":
        """Return the keyring with the announced key first.

        :raises WrongRotationStep: no key is announced.
        """
        first = self.announced
        if first is None:
            raise WrongRotationStep(
                f"{self.name}: no new key is announced. Run `flask keys rotate {self.name}` first."
            )
        return WrittenKeyring(self.name, {first: self.by_id[first], **self.by_id})

    def without(self, key_id: str) -> "WrittenKeyring":
        """Return the keyring without a key.

        :raises KeyNotFound: no key has this id.
        :raises WrongRotationStep: it is the key in use.
        """
        if key_id not in self.by_id:
            raise KeyNotFound(
                f"{self.name}: there is no key {key_id}. `flask keys status` lists all keys."
            )
        if key_id == self.in_use:
            raise WrongRotationStep(
                f"{self.name}: {key_id} is in use. Run `flask keys rotate {self.name}` first."
            )
        return WrittenKeyring(
            self.name, {one: key for one, key in self.by_id.items() if one != key_id}
        )


def _drawn(key_id: str) -> str:
    """Return the time in an id; an id without a time counts as the oldest."""
    found = _DRAWN.fullmatch(key_id)
    try:
        return f"{datetime.strptime(found[1], _MOMENT):{_MOMENT}}" if found else ""  # noqa: DTZ007 - compared as text
    except ValueError:  # digits, but not a time
        return ""


@dataclass(frozen=True, slots=True)
class KeyringLocation:
    """The location of a keyring: a file, or a variable if there is no path."""

    name: str
    path: Path | None
    variable: str = ""

    @classmethod
    def of(cls, name: str, folder: Path | None, variables: Mapping[str, str]) -> "KeyringLocation":
        """Find the keyring: in ``folder``, in the file of ``<NAME>_FILE``, or in the variable.

        :raises KeyNotFound: no keyring was found.
        """
        if folder is not None:
            return cls(name, folder / name.lower())
        if path := variables.get(f"{name}_FILE"):
            return cls(name, Path(path))
        if text := variables.get(name):
            return cls(name, None, text)
        raise KeyNotFound(f"{name}: not found. Use --dir FOLDER, or set {name}_FILE or {name}.")

    def read(self) -> WrittenKeyring:
        """Read the keyring.

        :raises KeyNotFound: the file cannot be read.
        :raises NoKeys: it contains something else.
        """
        try:
            text = self.path.read_text("utf-8") if self.path else self.variable
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise KeyNotFound(
                f"{self.name}: cannot read {self.path}: {reason}. Check its path and mode."
            ) from None
        try:
            return WrittenKeyring(self.name, Keys.parse(text.rstrip("\r\n")).by_id)
        except ValueError as error:
            raise NoKeys(f"{self.name}: {error}.") from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the file, so that only one command at a time changes it."""
        if self.path is None:
            yield
            return
        try:
            descriptor = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise KeyNotFound(f"{self.name}: {self.path.parent}: {error.strerror}.") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def write(self, keys: WrittenKeyring) -> None:
        """Replace the file atomically, keeping its mode and owner.

        :raises KeyNotFound: it cannot be written.
        """
        if self.path is None:
            return
        path = self.path.resolve()
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            was = path.stat()
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(keys.text() + "\n")
                os.fchmod(file.fileno(), stat.S_IMODE(was.st_mode))
                if (was.st_uid, was.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), was.st_uid, was.st_gid)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise KeyNotFound(
                f"{self.name}: cannot write {path}: {error.strerror}. The key was not changed."
            ) from None
