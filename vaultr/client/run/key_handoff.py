"""Hands an unlocked account to another process of this client, which asks no password for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaultr.client.errors import Locked
from vaultr.client.sdk.device_session import DeviceSession
from vaultr.client.storage import last_lock
from vaultr.client.strict_json import Json
from vaultr.protocol.encoding import b64, unb64_exactly

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr


def lent(device: DeviceSession) -> Json:
    """Give what :func:`resumed` needs; it goes through a pipe, and nowhere else.

    :raises Locked: the keys are not at hand.
    """
    ca_file = device.ca_file
    return {
        "home": str(device.store.folder.path.resolve()),
        "account_key": b64(device.require_unlocked().account.account_key),
        "ca_file": None if ca_file is None else str(ca_file.resolve()),
        "locked": last_lock.moment(device.store.folder),
    }


def taken_back(device: DeviceSession, handed: Mapping[str, Any]) -> bool:
    """Tell whether the owner has locked this device since the account was lent."""
    return bool(last_lock.moment(device.store.folder) != handed["locked"])


def resumed(handed: Json) -> "Vaultr":
    """Open the account; the unlock process is not asked, nor told.

    :raises Locked: the key is another account's by now.
    """
    # The SDK's face stands above this module.
    from vaultr.client.vaultr_client import Vaultr  # noqa: PLC0415 - late, see above

    ca_file = Path(handed["ca_file"]) if handed["ca_file"] else None
    vaultr = Vaultr(home=Path(handed["home"]), ca_file=ca_file, agent=False)
    known = vaultr.device.store.account()
    key = unb64_exactly(handed["account_key"], 32)
    vaultr.device.unlocked = None if known is None else vaultr.device.open_with_key(known, key)
    if vaultr.device.unlocked is None:
        raise Locked("This device belongs to another account, or to none, by now.")
    return vaultr
