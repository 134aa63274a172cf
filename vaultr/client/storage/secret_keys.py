"""The secret keys of a device: in the desktop's keyring, or in a private file.

The file always exists. It contains the key itself, or its name in the keyring, so that files that
are written together stay consistent, whatever happens to the keyring.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from vaultr.client.crypto.keys import secret_key_bytes, secret_key_text
from vaultr.client.errors import VaultrError

_SERVICE: Final = "vaultr"
_MARK: Final = "keyring:"
# A backend with a lower priority stores nothing, or stores it in a readable file.
_LEAST_PRIORITY: Final = 1
_NAME_HEX: Final = 16


class KeyringClosed(VaultrError):
    """The desktop's keyring is locked, so the secret key cannot be read."""

    advice = (
        "Unlock the keyring, for example by logging in to the desktop; or enter the secret key"
        " again: vaultr login --secret-key-fd N"
    )


@dataclass(frozen=True, slots=True)
class Keyring:
    """A working keyring.

    :ivar module: the package ``keyring``, from the extra of that name.
    """

    module: Any
    name: str

    @classmethod
    def find(cls) -> "Keyring | None":
        """Return the desktop's keyring; None if the desktop has none, or ``VAULTR_KEYRING=off``."""
        if os.environ.get("VAULTR_KEYRING", "").lower() == "off":
            return None
        try:
            import keyring  # noqa: PLC0415 - an extra, and slow to import

            backend = keyring.get_keyring()
            fits = float(backend.priority) >= _LEAST_PRIORITY
        except Exception:  # noqa: BLE001 - the file is used instead, whatever the desktop lacks
            return None
        return cls(keyring, type(backend).__module__) if fits else None

    def put(self, name: str, text: str) -> bool:
        """Store a text, and check that it can be read back."""
        with contextlib.suppress(Exception):  # a keyring that is locked or full
            self.module.set_password(_SERVICE, name, text)
            return self.get(name) == text
        return False

    def get(self, name: str) -> str | None:
        """Return a text; None if the keyring does not return it."""
        with contextlib.suppress(Exception):  # locked, or the user denied access
            text = self.module.get_password(_SERVICE, name)
            return text if isinstance(text, str) else None
        return None

    def drop(self, name: str) -> None:
        """Delete a text if possible."""
        with contextlib.suppress(Exception):  # already deleted, or locked
            self.module.delete_password(_SERVICE, name)


def store(account_id: UUID, secret_key: bytes) -> bytes:
    """Store a secret key in the keyring if there is one; return the content of its file."""
    text = secret_key_text(secret_key)
    # Each key has its own name, so the old one stays until its file is replaced.
    name = f"{account_id}-{hashlib.sha256(secret_key).hexdigest()[:_NAME_HEX]}"
    keyring = Keyring.find()
    if keyring is not None and keyring.put(name, text):
        return f"{_MARK}{name}\n".encode()
    return f"{text}\n".encode()


def read(data: bytes) -> bytes:
    """Return the secret key that a file contains or names.

    :raises KeyringClosed: the keyring does not return it.
    :raises ValueError: the file contains neither.
    """
    text = data.decode().removesuffix("\n")
    if not text.startswith(_MARK):
        return secret_key_bytes(text)
    keyring = Keyring.find()
    stored = None if keyring is None else keyring.get(text.removeprefix(_MARK))
    if stored is None:
        raise KeyringClosed("The secret key is in the keyring of this desktop, which is locked.")
    return secret_key_bytes(stored)


def in_keyring(data: bytes) -> bool:
    """Check whether a file names a key in the keyring instead of containing the key."""
    return data.startswith(_MARK.encode())


def forget(data: bytes | None) -> None:
    """Delete the key that a deleted file named from the keyring."""
    if data is not None and in_keyring(data) and (keyring := Keyring.find()) is not None:
        keyring.drop(data.decode().removesuffix("\n").removeprefix(_MARK))
