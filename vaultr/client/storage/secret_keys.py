"""Where a device keeps secret keys: in the keyring of the desktop, or in a 0600 file beside it.

The file is always there. It holds the key itself, or the name under which the keyring has it: so
that files which change together stay true to each other, whatever becomes of the keyring.
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
# Below this a backend keeps nothing, or keeps it in a file that anybody may read.
_LEAST_PRIORITY: Final = 1
_NAME_HEX: Final = 16


class KeyringClosed(VaultrError):
    """The keyring of the desktop does not give the secret key."""

    exit_code = 1
    advice = (
        "Unlock the keyring, as by signing in to the desktop; or give the secret key again:"
        " vaultr login --secret-key-fd N"
    )


@dataclass(frozen=True, slots=True)
class Keyring:
    """A keyring that works.

    :ivar module: the package ``keyring``, of the extra of that name.
    """

    module: Any
    name: str

    @classmethod
    def find(cls) -> "Keyring | None":
        """Find the keyring of this desktop; None where there is none, or ``VAULTR_KEYRING=off``."""
        if os.environ.get("VAULTR_KEYRING", "").lower() == "off":
            return None
        try:
            import keyring  # noqa: PLC0415 - an extra, and slow to import

            backend = keyring.get_keyring()
            fits = float(backend.priority) >= _LEAST_PRIORITY
        except Exception:  # noqa: BLE001 - whatever a desktop lacks, the file is there
            return None
        return cls(keyring, type(backend).__module__) if fits else None

    def put(self, name: str, text: str) -> bool:
        """Keep a text, and tell whether it can be read again."""
        with contextlib.suppress(Exception):  # a keyring that is locked, or has no room
            self.module.set_password(_SERVICE, name, text)
            return self.get(name) == text
        return False

    def get(self, name: str) -> str | None:
        """Read a text; None when it is not given."""
        with contextlib.suppress(Exception):  # locked, or its owner said no
            text = self.module.get_password(_SERVICE, name)
            return text if isinstance(text, str) else None
        return None

    def drop(self, name: str) -> None:
        """Remove a text, if that can be done."""
        with contextlib.suppress(Exception):  # gone already, or locked
            self.module.delete_password(_SERVICE, name)


def kept(account_id: UUID, secret_key: bytes) -> bytes:
    """Put a secret key into the keyring, where there is one; give what its file is to hold."""
    text = secret_key_text(secret_key)
    # Each key has a name of its own: the one before it stays until its file was replaced.
    name = f"{account_id}-{hashlib.sha256(secret_key).hexdigest()[:_NAME_HEX]}"
    keyring = Keyring.find()
    if keyring is not None and keyring.put(name, text):
        return f"{_MARK}{name}\n".encode()
    return f"{text}\n".encode()


def found(data: bytes) -> bytes:
    """Give the secret key that a file holds or names.

    :raises KeyringClosed: the keyring does not give it.
    :raises ValueError: the file holds neither.
    """
    text = data.decode().removesuffix("\n")
    if not text.startswith(_MARK):
        return secret_key_bytes(text)
    keyring = Keyring.find()
    given = None if keyring is None else keyring.get(text.removeprefix(_MARK))
    if given is None:
        raise KeyringClosed("The secret key is in the keyring of this desktop, which is closed.")
    return secret_key_bytes(given)


def in_keyring(data: bytes) -> bool:
    """Tell whether a file names the keyring, and does not hold the key."""
    return data.startswith(_MARK.encode())


def dropped(data: bytes | None) -> None:
    """Remove from the keyring what a file named that is there no more."""
    if data is not None and in_keyring(data) and (keyring := Keyring.find()) is not None:
        keyring.drop(data.decode().removesuffix("\n").removeprefix(_MARK))
