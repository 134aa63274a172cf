"""A change of credentials that was begun: kept before it is sent, until it is known how it ended.

Until the server has shown the new account key to be its own, what opened the account before stays
as it was. So after a lost answer, or the death of this client, exactly one password opens it.
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
class Change:
    """New credentials of an account, all of them drawn here.

    :ivar account: what the device is to know of the account if the server takes the change.
    :ivar pins: what the account is to be pinned to then.
    :ivar secret_key: the new secret key; None when the account keeps the one it has.
    :ivar wraps: every vault's keys under the new account key; None when that stays.
    :ivar before: the account key from before, sealed under the new one, so that the session's
        tokens can be opened still; None when the account key stays, or nothing was open.
    :ivar machines: the sealing keys of machines under the new account key. This device has no use
        for them, so they are not kept.
    """

    email: str
    account: KnownAccount
    pins: Pins
    secret_key: bytes | None = field(default=None, repr=False)
    wraps: Wraps | None = field(default=None, repr=False)
    before: bytes | None = field(default=None, repr=False)
    machines: Mapping[UUID, bytes] = field(default_factory=dict, repr=False)

    def is_in(self, key_set: KeySet) -> bool:
        """Tell whether the server has taken this change; no two have the same sealed key."""
        ours = self.account.key_set
        return (key_set.epoch, key_set.account_key) == (ours.epoch, ours.account_key)

    def is_over(self, key_set: KeySet) -> bool:
        """Tell whether the server can never take it: it asks for a revision that is given away.

        The profile's revision is sealed, so who has opened the profile knows it to be true; a new
        epoch never comes without a new one. An epoch alone could be any server's word.
        """
        ours = self.account.key_set
        return not self.is_in(key_set) and key_set.profile.revision >= ours.profile.revision


def keep(folder: Folder, change: Change) -> None:
    """Keep a change before it is sent."""
    text = json.dumps(_to_json(change), separators=(",", ":"))
    folder.write_signed(FILE, text.encode())


def read(folder: Folder) -> Change | None:
    """Read the change that was begun, if there is one whose end is not known.

    :raises FileAltered: its file is torn or altered.
    """
    value = folder.read_json(FILE)
    try:
        return None if value is None else _from_json(value)
    except (KeyError, TypeError, ValueError, IntegrityError):
        raise folder.altered(FILE) from None


def drop(folder: Folder) -> None:
    """Forget a change that the server never took, and never will."""
    folder.remove(FILE)


def _to_json(change: Change) -> Json:
    return {
        "email": change.email,
        "account": change.account.to_json(),
        "pins": change.pins.to_json(),
        "secret_key": None if change.secret_key is None else secret_key_text(change.secret_key),
        "wraps": None if change.wraps is None else rewrapped_keys.to_json(change.wraps),
        "before": None if change.before is None else b64(change.before),
    }


def _from_json(value: Mapping[str, Any]) -> Change:
    account = value["account"]
    secret_key, wraps, before = value["secret_key"], value["wraps"], value["before"]
    return Change(
        email=value["email"],
        account=KnownAccount.read(
            Fields(account, FILE, ValueError), read_prelogin(account | {"auth_scheme": AUTH_SCHEME})
        ),
        pins=Pins.from_json(value["pins"]),
        secret_key=None if secret_key is None else secret_key_bytes(secret_key),
        wraps=None if wraps is None else rewrapped_keys.from_json(wraps),
        before=None if before is None else unb64(before),
    )
