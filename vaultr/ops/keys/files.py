"""Where an operator keeps a set of server keys, a file or a variable; and its three steps.

A new key is first announced: it stands behind the others, so that every server learns to verify
and open by it before any signs or seals. Then it is put first, and the old one stays behind for
what was signed and sealed by it. Then the old one is taken out.
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
# When a key was drawn stands in its id, so that of two it is known which is the newer.
_MOMENT = "%Y%m%d%H%M%S"
_DRAWN = re.compile(r"(\d{14})-[0-9a-f]{4}")


class NotThere(NotFound):
    """There is no such key, or no such place."""


class NotNow(Conflict):
    """This step of a rotation is not the next one."""


class NoKeys(Unprocessable):
    """What stands there is no set of keys."""


def new_id(now: datetime) -> str:
    """Draw the id of a new key: when it was drawn, in UTC, and four digits of luck."""
    return f"{now:{_MOMENT}}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class KeySet:
    """A set of keys as it is written down, the first in use."""

    name: str
    by_id: Mapping[str, bytes]

    @property
    def in_use(self) -> str:
        """Return the id of the key that signs and seals."""
        return next(iter(self.by_id))

    @property
    def announced(self) -> str | None:
        """Return the id of a key that waits to be put first: one drawn after the key in use."""
        *_, last = self.by_id
        return last if _drawn(last) > _drawn(self.in_use) else None

    def text(self) -> str:
        """Write it as the setting is written, one key a line."""
        return "\n".join(f"{key_id}:{b64(key)}" for key_id, key in self.by_id.items())

    def with_new(self, now: datetime) -> "KeySet":
        """Announce a new key.

        :raises NotNow: one is announced already.
        """
        if self.announced is not None:
            raise NotNow(
                f"{self.name}: {self.announced} is announced already. Once every server was "
                "reloaded, run `rotate` with --reloaded."
            )
        # Later than all others by its id, even if they were drawn this second or by a fast clock.
        newest = max(_drawn(key_id) for key_id in self.by_id)
        if newest >= f"{now:{_MOMENT}}":
            now = datetime.strptime(newest, _MOMENT).replace(tzinfo=UTC) + timedelta(seconds=1)
        return KeySet(self.name, {**self.by_id, new_id(now): secrets.token_bytes(_KEY_BYTES)})

    def switched(self) -> "KeySet":
        """Put the announced key first.

        :raises NotNow: none is announced.
        """
        first = self.announced
        if first is None:
            raise NotNow(
                f"{self.name}: no new key is announced; run `rotate` without --reloaded first."
            )
        return KeySet(self.name, {first: self.by_id[first], **self.by_id})

    def without(self, key_id: str) -> "KeySet":
        """Take a key out.

        :raises NotThere: there is none of that id.
        :raises NotNow: it is the one in use.
        """
        if key_id not in self.by_id:
            raise NotThere(f"{self.name}: there is no key {key_id}.")
        if key_id == self.in_use:
            raise NotNow(f"{self.name}: {key_id} is in use. Rotate first.")
        return KeySet(self.name, {one: key for one, key in self.by_id.items() if one != key_id})


def _drawn(key_id: str) -> str:
    """Return when a key was drawn; one whose id does not say so is older than all that do."""
    found = _DRAWN.fullmatch(key_id)
    try:
        return f"{datetime.strptime(found[1], _MOMENT):{_MOMENT}}" if found else ""  # noqa: DTZ007 - compared as text
    except ValueError:  # digits, but no moment
        return ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a set is kept. Without a path it is a variable, which only its owner can change."""

    name: str
    path: Path | None
    given: str = ""

    @classmethod
    def of(cls, name: str, folder: Path | None, variables: Mapping[str, str]) -> "Place":
        """Find out where a set is kept: in ``folder``, by ``<NAME>_FILE``, or in the variable.

        :raises NotThere: nowhere.
        """
        if folder is not None:
            return cls(name, folder / name.lower())
        if path := variables.get(f"{name}_FILE"):
            return cls(name, Path(path))
        if given := variables.get(name):
            return cls(name, None, given)
        raise NotThere(f"{name}: name its folder by --dir, or set {name}_FILE or {name}.")

    def read(self) -> KeySet:
        """Read the set.

        :raises NotThere: the file cannot be read.
        :raises NoKeys: it holds something else.
        """
        try:
            text = self.path.read_text("utf-8") if self.path else self.given
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise NotThere(f"{self.name}: cannot read {self.path}: {reason}.") from None
        try:
            return KeySet(self.name, Keys.parse(text.rstrip("\r\n")).by_id)
        except ValueError as error:
            raise NoKeys(f"{self.name}: {error}.") from None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let of several commands that change one file one do so at a time."""
        if self.path is None:
            yield
            return
        try:
            descriptor = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise NotThere(f"{self.name}: {self.path.parent}: {error.strerror}.") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def write(self, keys: KeySet) -> None:
        """Replace the file, whole at every moment, with its mode and owner as they were.

        :raises NotThere: it cannot be written.
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
            raise NotThere(f"{self.name}: cannot write {path}: {error.strerror}.") from None
