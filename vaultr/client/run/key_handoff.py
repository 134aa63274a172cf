"""Hand an unlocked account to a child process of this client, which asks for no password."""

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


def export_access(device: DeviceSession) -> Json:
    """Return what :func:`open_access` needs. It contains the account key: send it only by a pipe.

    :raises Locked: the keys are not in memory.
    """
    ca_file = device.ca_file
    return {
        "home": str(device.store.folder.path.resolve()),
        "account_key": b64(device.require_unlocked().account.account_key),
        "ca_file": None if ca_file is None else str(ca_file.resolve()),
        "locked": last_lock.moment(device.store.folder),
    }


def was_locked_since(device: DeviceSession, exported: Mapping[str, Any]) -> bool:
    """Check whether the user has locked this device since the access was exported."""
    return bool(last_lock.moment(device.store.folder) != exported["locked"])


def open_access(exported: Json) -> "Vaultr":
    """Open the account without contacting the agent.

    :raises Locked: this device belongs to another account by now.
    """
    # The SDK's public class is on a higher layer than this module.
    from vaultr.client.vaultr_client import Vaultr  # noqa: PLC0415 - late, see above

    ca_file = Path(exported["ca_file"]) if exported["ca_file"] else None
    vaultr = Vaultr(home=Path(exported["home"]), ca_file=ca_file, agent=False)
    known = vaultr.device.store.account()
    key = unb64_exactly(exported["account_key"], 32)
    vaultr.device.unlocked = None if known is None else vaultr.device.open_with_key(known, key)
    if vaultr.device.unlocked is None:
        raise Locked("This device now belongs to another account, or to none.")
    return vaultr
