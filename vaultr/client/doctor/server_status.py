"""Looks whether the server still knows this device: its session, and the account itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from vaultr.client.doctor.check_result import Finding
from vaultr.client.errors import PinMismatch, SessionEnded, VaultrError
from vaultr.client.storage.device import Device
from vaultr.client.storage.pins import read_prelogin
from vaultr.client.transport.account_session import SESSION_FILE

if TYPE_CHECKING:
    from vaultr.client.sdk.device_session import DeviceSession

_NAME: Final = "session"
_KEPT: Final = "What this device holds can be read with --offline."
_SIGNED_OUT: Final = Finding(
    _NAME, "warn", "This device is signed out.", f"Sign in again: vaultr login. {_KEPT}"
)
_CHANGED: Final = Finding(
    _NAME,
    "fail",
    "The session is over: the master password was changed elsewhere, as it seems.",
    f"If you did that: vaultr login --changed. {_KEPT}",
    SessionEnded.exit_code,
)
_GONE: Final = Finding(
    _NAME,
    "fail",
    "The server shows another account for this address: yours was deleted, or has another address"
    " now, or this is another server.",
    f"{_KEPT} Another account needs another folder: VAULTR_DIR.",
    PinMismatch.exit_code,
)


def standing_findings(device: "DeviceSession") -> Iterator[Finding]:
    """Ask the server whether this device is signed in, where it belongs to an account.

    The session's tokens are sealed, so a locked device cannot ask; no password is asked for.
    """
    if device.store.account() is None:
        return
    try:
        yield _standing(device)
    except VaultrError as error:
        yield Finding(_NAME, "fail", str(error), error.advice, error.exit_code)


def _standing(device: "DeviceSession") -> Finding:
    known = device.store.device()
    if device.store.folder.read(SESSION_FILE) is None:
        return _explained(device, known) or _SIGNED_OUT
    unlocked = device.find_unlocked()
    if unlocked is None:
        return Finding(_NAME, "ok", "Not asked: this device is locked, and so are its tokens.")
    try:
        unlocked.account.session.send("GET", "/auth/me")
    except SessionEnded as error:
        ended = Finding(_NAME, "fail", str(error), error.advice, error.exit_code)
        return _explained(device, known) or ended
    return Finding(_NAME, "ok", "This device is signed in.")


def _explained(device: "DeviceSession", known: Device) -> Finding | None:
    """Find out why there is no session, by what anybody may ask; None where it tells nothing."""
    if known.pins is None or known.email is None:
        return None
    body = {"email": known.email}
    asked = device.server().send("POST", "/auth/prelogin", body, again=True)
    shown = read_prelogin(asked.body or {})
    if shown.account_id != known.pins.account_id:
        return _GONE
    return None if known.pins.fits(shown) else _CHANGED
