"""What opening an account takes and can go wrong with, and the account opened by its key."""

from dataclasses import dataclass, field

from vaultr.client.account.emergency_kit import Kit
from vaultr.client.errors import PinMismatch, UsageError, VaultrError
from vaultr.client.storage.device import KnownAccount
from vaultr.client.storage.store import Store
from vaultr.client.transport.account_session import Session
from vaultr.client.transport.http_transport import Transport
from vaultr.client.vaults.unlocked_account import UnlockedAccount


class WrongPassword(VaultrError):
    """The password, or the secret key with it, does not open the account."""

    exit_code = 1


class SecretKeyNeeded(VaultrError):
    """This device does not have the account's secret key; nothing was sent."""

    exit_code = 1


class SignupWaits(PinMismatch):
    """The server does not show the account that was signed up here, which may not be confirmed yet.

    Only a device whose own signup waits can be told so: nothing that a server says makes it wait.
    """

    advice = (
        "If this is said after it was confirmed, it may be another server: do not type the password"
        " there. An older account of the address takes its secret key: login --secret-key-fd N"
    )


class WrongServer(PinMismatch):
    """The password was used with a server that is not the account's own."""

    advice = ""


class NotSignedIn(UsageError):
    """This device belongs to no account yet: sign up or log in first."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the owner gives to log in.

    :ivar kit: what the emergency kit says, in place of the secret key.
    :ivar has_secret_key: False when the owner says that the account has none; no server is asked.
    :ivar changed: the owner says that the password was changed elsewhere.
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


def resume(
    store: Store, transport: Transport, known: KnownAccount, account_key: bytes
) -> UnlockedAccount:
    """Open the account with its key, as the unlock process handed it over.

    :raises SealBroken: the key is another account's, or an older one.
    """
    account_id = known.derivation.account_id
    session = Session(transport, store.folder, account_id=account_id, account_key=account_key)
    return UnlockedAccount.open(store, session, known, account_key)
