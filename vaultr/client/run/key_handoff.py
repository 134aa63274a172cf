"""Pass an unlocked account to a child process of this client, so that it needs no password."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaultr.client.errors import Locked
from vaultr.client.storage import last_lock
from vaultr.client.strict_json import Json
from vaultr.protocol.encoding import b64, unb64_exactly

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr


def export_access(vaultr: "Vaultr") -> Json:
    """Return the input for :func:`open_access`. It contains the account key, or a machine's token.

    Send it only through a pipe.

    :raises Locked: the keys are not in memory.
    """
    machine = vaultr.machine_session
    if machine is not None:
        return {
            "url": machine.url,
            "token": machine.token.text,
            "home": _path(machine.home),
            "ca_file": _path(machine.ca_file),
        }
    device = vaultr.device
    return {
        "home": str(device.store.folder.path.resolve()),
        "account_key": b64(device.require_unlocked().account.account_key),
        "ca_file": _path(device.ca_file),
        "locked": last_lock.moment(device.store.folder),
    }


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def was_locked_since(vaultr: "Vaultr", exported: Mapping[str, Any]) -> bool:
    """Check whether the user has locked this device since the access was exported.

    A machine is never locked; the server rejects it after its token was replaced or deleted.
    """
    return last_lock_of(vaultr) != exported.get("locked")


def last_lock_of(vaultr: "Vaultr") -> str | None:
    """Return a value that changes when the user locks this device; None for a machine."""
    if vaultr.machine_session is not None:
        return None
    return last_lock.moment(vaultr.device.store.folder)


def open_access(exported: Json) -> "Vaultr":
    """Open the account without contacting the agent, or open the machine's vaults.

    :raises Locked: this device now belongs to another account.
    """
    # The SDK's public class is in a higher layer than this module.
    from vaultr.client.vaultr_client import Vaultr  # noqa: PLC0415 - late, see above

    ca_file = Path(exported["ca_file"]) if exported["ca_file"] else None
    if "token" in exported:
        home = Path(exported["home"]) if exported["home"] else None
        return Vaultr.for_machine(exported["url"], exported["token"], home=home, ca_file=ca_file)
    vaultr = Vaultr(home=Path(exported["home"]), ca_file=ca_file, agent=False)
    known = vaultr.device.store.account()
    key = unb64_exactly(exported["account_key"], 32)
    vaultr.device.unlocked = None if known is None else vaultr.device.open_with_key(known, key)
    if vaultr.device.unlocked is None:
        raise Locked("This device now belongs to another account, or to none.")
    return vaultr
