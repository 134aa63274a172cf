"""Check whether this device is logged in, and if not, why."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from vaultr.client.doctor.check_result import CheckResult
from vaultr.client.errors import PinMismatch, SessionEnded, VaultrError
from vaultr.client.sdk.session_end import Reason, reason
from vaultr.client.transport.account_session import SESSION_FILE

if TYPE_CHECKING:
    from vaultr.client.sdk.device_session import DeviceSession

_NAME: Final = "session"
_OFFLINE: Final = "Use --offline to read this device's copy."
_LOGGED_OUT: Final = CheckResult(
    _NAME, "warn", "This device is logged out.", f"Log in again: vaultr login. {_OFFLINE}"
)
_CHANGED: Final = CheckResult(
    _NAME,
    "fail",
    "The session has ended, probably because the master password was changed on another device.",
    f"If you changed it: vaultr login --changed. {_OFFLINE}",
    SessionEnded.exit_code,
)
_GONE: Final = CheckResult(
    _NAME,
    "fail",
    "The server has another account for this email address: yours was deleted, or has another email"
    " address now, or this is another server.",
    f"{_OFFLINE} To use another account, use another folder: VAULTR_DIR.",
    PinMismatch.exit_code,
)


def check_session(device: "DeviceSession") -> Iterator[CheckResult]:
    """Ask the server whether this device is logged in, if it belongs to an account.

    The session's tokens are sealed, so a locked device is not checked. No password is needed.
    """
    if device.store.account() is None:
        return
    try:
        yield _session(device)
    except VaultrError as error:
        yield CheckResult(_NAME, "fail", str(error), error.advice, error.exit_code)


def _session(device: "DeviceSession") -> CheckResult:
    if device.store.folder.read(SESSION_FILE) is None:
        return _explained(device) or _LOGGED_OUT
    unlocked = device.find_unlocked()
    if unlocked is None:
        return CheckResult(
            _NAME, "ok", "Not checked, because this device is locked: run vaultr unlock."
        )
    try:
        unlocked.account.session.send("GET", "/auth/me")
    except SessionEnded as error:
        ended = CheckResult(_NAME, "fail", str(error), error.advice, error.exit_code)
        return _explained(device) or ended
    return CheckResult(_NAME, "ok", "This device is logged in.")


def _explained(device: "DeviceSession") -> CheckResult | None:
    """Return why there is no session, if a public route shows the reason; otherwise None."""
    return {Reason.OTHER_ACCOUNT: _GONE, Reason.PASSWORD_CHANGED: _CHANGED, None: None}[
        reason(device)
    ]
