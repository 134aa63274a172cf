"""The state of a device: account, session, keys, copy, protection, pending changes."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from vaultr.client.account import pending_change, recovery
from vaultr.client.account.sessions_and_factors import Protection, read_protection
from vaultr.client.background.agent_client import HeldKey
from vaultr.client.errors import Refused, ServerUnreachable, SessionEnded
from vaultr.client.sdk.device_session import DeviceSession
from vaultr.client.storage import freshness
from vaultr.client.storage.pins import Pins
from vaultr.client.transport.account_session import SESSION_FILE
from vaultr.client.vaults.reader import VaultInfo, by_name

_KIT_FILE: Final = "kit.json"


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What a device knows about itself, and what the server reports about the account.

    :ivar logged_in: whether this device has a session; an unlocked device asks the server.
    :ivar unlocked: whether the keys are in memory, here or in the agent.
    :ivar locks_in_seconds: how long the agent still holds the keys; None if it holds none, or holds
        them until logout.
    :ivar held: what the agent holds.
    :ivar synced_at: when all vaults were last in sync; None if unknown.
    :ivar vaults: the vaults in the copy; None on a locked device.
    :ivar protection: None if the server was not asked, or did not respond.
    :ivar kit: state of the emergency kit that this device wrote.
    :ivar pending: unfinished changes of interrupted commands, each with the command that continues
        it.
    """

    server: str | None
    email: str | None
    device_name: str
    logged_in: bool
    unlocked: bool
    locks_in_seconds: float | None
    held: HeldKey | None
    synced_at: datetime | None
    vaults: list[VaultInfo] | None
    protection: Protection | None
    kit: str
    pending: list[str]


def device_status(device: DeviceSession, *, offline: bool) -> DeviceStatus:
    """Return the state of a device; do not contact the server if it is locked or ``offline``."""
    store = device.store
    known = store.device()
    unlocked = device.find_unlocked() if store.account() is not None else None
    logged_in = store.account() is not None and store.folder.read(SESSION_FILE) is not None
    held = None if device.agent is None else device.agent.held()
    protection = None
    if logged_in and not offline:
        try:
            protection = _protection(device)
        except SessionEnded:
            logged_in = False
    vaults = None
    if unlocked is not None:
        vaults = sorted(map(unlocked.reader.info, unlocked.reader.vaults()), key=by_name)
    return DeviceStatus(
        server=known.origin,
        email=device.email,
        device_name=known.name,
        logged_in=logged_in,
        unlocked=unlocked is not None,
        locks_in_seconds=None if held is None else held.left,
        held=held,
        synced_at=freshness.noted(store.folder),
        vaults=vaults,
        protection=protection,
        kit=_kit_state(device, known.pins),
        pending=list(_pending(device)),
    )


def _protection(device: DeviceSession) -> Protection | None:
    unlocked = device.find_unlocked()
    if unlocked is None:
        return None
    try:
        return read_protection(unlocked.account.session.send("GET", "/auth/me"))
    except SessionEnded:
        raise
    except (ServerUnreachable, Refused):
        return None


def _pending(device: DeviceSession) -> Iterator[str]:
    store = device.store
    for signup in store.device().waiting if store.account() is None else ():
        todo = "vaultr verify TOKEN, then vaultr unlock"
        yield f"The signup of {signup.email} is not confirmed: {todo}"
    if pending_change.read(store.folder) is not None:
        yield "A password change may not have reached the server: vaultr sync"
    if store.move() is not None:
        yield "A move between vaults was interrupted: vaultr move --resume"
    if recovery.begun(store) is not None:
        yield "A recovery is running: vaultr recover, or vaultr recover --cancel"


def record_kit(device: DeviceSession) -> None:
    """Record that the emergency kit was written, and for which credentials."""
    pins = device.store.device().pins
    if pins is not None:
        record = {"written_at": datetime.now(UTC).isoformat(timespec="seconds")}
        record["credentials"] = _fingerprint(pins)
        device.store.folder.write_signed(_KIT_FILE, json.dumps(record).encode())


def _kit_state(device: DeviceSession, pins: Pins | None) -> str:
    """Return ``none``, ``outdated`` or ``written``."""
    record = device.store.folder.read_json(_KIT_FILE)
    if record is None or pins is None:
        return "none"
    return "written" if record.get("credentials") == _fingerprint(pins) else "outdated"


def _fingerprint(pins: Pins) -> str:
    # The kit contains the pins and the secret key; the pins change with every change of either.
    return hashlib.sha256(json.dumps(pins.to_json(), sort_keys=True).encode()).hexdigest()
