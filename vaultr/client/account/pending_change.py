"""A change of credentials, stored on this device before it is sent, until its outcome is known.

The old credentials stay until the server shows the new ones. So even after a lost response or a
kill, exactly one password opens the account.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from vaultr.client.crypto.keys import secret_key_bytes, secret_key_text
from vaultr.client.errors import IntegrityError
from vaultr.client.storage import rewrapped_keys
from vaultr.client.storage.device import KnownAccount
from vaultr.client.storage.key_set import KeySet
from vaultr.client.storage.pins import AUTH_SCHEME, Pins, read_prelogin
from vaultr.client.storage.private_folder import Folder
from vaultr.client.storage.rewrapped_keys import Wraps
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.encoding import b64, unb64

FILE: Final = "changing.json"


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """New credentials of an account, generated on this device.

    :ivar account: the account as this device will know it if the server stores the change.
    :ivar pins: the pins of the account after the change.
    :ivar secret_key: the new secret key; None if the account keeps its secret key.
    :ivar wraps: every vault's keys under the new account key; None if the account key stays.
    :ivar before: the old account key, sealed under the new one, to open the session's tokens; None
        if the account key stays, or the account was not unlocked.
    :ivar machines: the sealing keys of machines under the new account key. They are not written to
        the file, because this device does not need them.
    """

    email: str
    account: KnownAccount
    pins: Pins
    secret_key: bytes | None = field(default=None, repr=False)
    wraps: Wraps | None = field(default=None, repr=False)
    before: bytes | None = field(default=None, repr=False)
    machines: Mapping[UUID, bytes] = field(default_factory=dict, repr=False)

    def is_in(self, key_set: KeySet) -> bool:
        """Check whether the server has stored this change; each one has another sealed key."""
        ours = self.account.key_set
        return (key_set.epoch, key_set.account_key) == (ours.epoch, ours.account_key)

    def is_over(self, key_set: KeySet) -> bool:
        """Check whether the server can no longer store this change, because the revision is taken.

        Opening the profile proves its revision, and each new epoch has a new revision. The epoch
        alone proves nothing, because the server could send any number.
        """
        ours = self.account.key_set
        return not self.is_in(key_set) and key_set.profile.revision >= ours.profile.revision


def write(folder: Folder, change: CredentialChange) -> None:
    """Write a change to this device, before it is sent."""
    text = json.dumps(_to_json(change), separators=(",", ":"))
    folder.write_signed(FILE, text.encode())


def read(folder: Folder) -> CredentialChange | None:
    """Return the change whose outcome is unknown; None if no change is pending.

    :raises FileAltered: its file is damaged or was altered.
    """
    value = folder.read_json(FILE)
    try:
        return None if value is None else _from_json(value)
    except (KeyError, TypeError, ValueError, IntegrityError):
        raise folder.altered(FILE) from None


def remove(folder: Folder) -> None:
    """Delete a change that the server did not and will not store."""
    folder.remove(FILE)


def _to_json(change: CredentialChange) -> Json:
    return {
        "email": change.email,
        "account": change.account.to_json(),
        "pins": change.pins.to_json(),
        "secret_key": None if change.secret_key is None else secret_key_text(change.secret_key),
        "wraps": None if change.wraps is None else rewrapped_keys.to_json(change.wraps),
        "before": None if change.before is None else b64(change.before),
    }


def _from_json(value: Mapping[str, Any]) -> CredentialChange:
    account = value["account"]
    secret_key, wraps, before = value["secret_key"], value["wraps"], value["before"]
    return CredentialChange(
        email=value["email"],
        account=KnownAccount.read(
            Fields(account, FILE, ValueError), read_prelogin(account | {"auth_scheme": AUTH_SCHEME})
        ),
        pins=Pins.from_json(value["pins"]),
        secret_key=None if secret_key is None else secret_key_bytes(secret_key),
        wraps=None if wraps is None else rewrapped_keys.from_json(wraps),
        before=None if before is None else unb64(before),
    )
