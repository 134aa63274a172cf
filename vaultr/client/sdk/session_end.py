"""Explain why this device has no session, as far as a public route of the server shows it."""

from enum import Enum, auto

from vaultr.client.account.credentials import WrongPassword
from vaultr.client.errors import PasswordChangedElsewhere, SessionEnded, VaultrError
from vaultr.client.sdk.device_session import DeviceSession
from vaultr.client.storage.pins import read_prelogin


class Reason(Enum):
    """Why a session ended, if it was not an expiry or a logout."""

    PASSWORD_CHANGED = auto()
    OTHER_ACCOUNT = auto()


def reason(device: DeviceSession) -> Reason | None:
    """Ask the server for the account's KDF parameters, and compare them with the pinned ones.

    :raises VaultrError: the server cannot be reached, or rejects the request.
    """
    known = device.store.device()
    if known.pins is None or known.email is None:
        return None
    body = {"email": known.email}
    asked = device.server().send("POST", "/auth/prelogin", body, again=True)
    shown = read_prelogin(asked.body or {})
    if shown.account_id != known.pins.account_id:
        return Reason.OTHER_ACCOUNT
    return None if known.pins.fits(shown) else Reason.PASSWORD_CHANGED


def explained(device: DeviceSession, error: SessionEnded | WrongPassword) -> VaultrError:
    """Return the error about a password changed elsewhere, or ``error`` for other causes."""
    try:
        device.hurry()
        if reason(device) is not Reason.PASSWORD_CHANGED:
            return error
    except VaultrError:
        return error
    finally:
        if isinstance(error, WrongPassword):
            device.drop()  # after another entry, the command has its own time limits
    text = str(PasswordChangedElsewhere.__doc__)
    return PasswordChangedElsewhere("session-ended", 401, text)
