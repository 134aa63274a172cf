"""Looks whether the server still knows this device: its session, and the account itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from vaultr.client.doctor.check_result import Finding
from vaultr.client.errors import PinMismatch, SessionEnded, VaultrError
from vaultr.client.storage.device import Device
from vaultr.client.storage.pins import read_prelogin
from vaultr.client.transport import account_session as sessions

if TYPE_CHECKING:
    from vaultr.client.sdk.device_session import Access

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


def standing_findings(access: "Access") -> Iterator[Finding]:
    """Ask the server whether this device is signed in, where it belongs to an account.

    The session's tokens are sealed, so a locked device cannot ask; no password is asked for.
    """
    if access._store.account() is None:
        return
    try:
        yield _standing(access)
    except VaultrError as error:
        yield Finding(_NAME, "fail", str(error), error.advice, error.exit_code)


def _standing(access: "Access") -> Finding:
    device = access._store.device()
    if access._store.folder.read(sessions.FILE) is None:
        return _explained(access, device) or _SIGNED_OUT
    unlocked = access._resumed()
    if unlocked is None:
        return Finding(_NAME, "ok", "Not asked: this device is locked, and so are its tokens.")
    try:
        unlocked.account.session.send("GET", "/auth/me")
    except SessionEnded as error:
        ended = Finding(_NAME, "fail", str(error), error.advice, error.exit_code)
        return _explained(access, device) or ended
    return Finding(_NAME, "ok", "This device is signed in.")


def _explained(access: "Access", device: Device) -> Finding | None:
    """Find out why there is no session, by what anybody may ask; None where it tells nothing."""
    if device.pins is None or device.email is None:
        return None
    body = {"email": device.email}
    asked = access._to_server().send("POST", "/auth/prelogin", body, again=True)
    shown = read_prelogin(asked.body or {})
    if shown.account_id != device.pins.account_id:
        return _GONE
    return None if device.pins.fits(shown) else _CHANGED
