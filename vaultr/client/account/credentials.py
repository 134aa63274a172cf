"""The input of a login, and the errors of credentials that do not open an account."""

from dataclasses import dataclass, field

from vaultr.client.account.emergency_kit import Kit
from vaultr.client.errors import PinMismatch, UsageError, VaultrError


class WrongPassword(VaultrError):
    """The master password or the secret key does not open the account."""


class SecretKeyNeeded(VaultrError):
    """This device does not have the account's secret key; nothing was sent."""


class SignupWaits(PinMismatch):
    """The server does not show the account that was signed up here; it may not be confirmed yet.

    Only the device that signed up gets this error; no server can cause it on another device.
    """

    advice = (
        "If you have confirmed it, this may be the wrong server: do not type your password. To log"
        " in to an older account with this email address: vaultr login --secret-key-fd N"
    )


class WrongServer(PinMismatch):
    """The password was used with a server that is not the account's own."""

    advice = ""


class NotSignedIn(UsageError):
    """This device belongs to no account: sign up or log in first."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The input of a login.

    :ivar kit: the emergency kit, instead of the secret key.
    :ivar has_secret_key: False if the user says that the account has none; never taken from a
        server.
    :ivar changed: whether the user says that the password was changed elsewhere.
    """

    email: str
    password: str = field(repr=False)
    secret_key: bytes | None = field(default=None, repr=False)
    kit: Kit | None = None
    has_secret_key: bool = True
    device_name: str | None = None
    changed: bool = False
    totp: str | None = field(default=None, repr=False)
    recovery_code: str | None = field(default=None, repr=False)
