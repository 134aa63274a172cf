"""Prove the master password to this device, and to the server for step-up."""

from dataclasses import dataclass, field

from vaultr.client.account.credentials import NotSignedIn, SecretKeyNeeded, WrongPassword
from vaultr.client.crypto import keys
from vaultr.client.errors import SealBroken
from vaultr.client.storage.device import Device, KnownAccount
from vaultr.client.storage.store import Store
from vaultr.client.strict_json import Json
from vaultr.client.transport.account_session import Session
from vaultr.protocol.encoding import b64


@dataclass(frozen=True, slots=True)
class PasswordProof:
    """The root key derived from the right password, and the account key that it opens."""

    known: KnownAccount
    root: bytes = field(repr=False)
    account_key: bytes = field(repr=False)

    @property
    def auth_key(self) -> bytes:
        """The value that proves the password to the server."""
        return keys.auth_key(self.root, self.known.derivation.account_id)


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """The code of a second factor, or a recovery code; both None if the account has no factor."""

    totp: str | None = field(default=None, repr=False)
    recovery_code: str | None = field(default=None, repr=False)

    def to_json(self) -> Json:
        """Return the members of the request."""
        codes = {"totp": self.totp, "recovery_code": self.recovery_code}
        return {name: value for name, value in codes.items() if value is not None}


def prove(store: Store, password: str, *, origin: str) -> PasswordProof:
    """Open the account with the files of this device, without asking the server.

    :param origin: the server that this device is about to use.
    :raises NotSignedIn: this device has never logged in.
    :raises PinMismatch: the account belongs to another server.
    :raises WrongPassword: the password does not open the account.
    """
    device, known, secret_key = read_device(store)
    if device.pins is None or known is None:
        raise NotSignedIn(
            "This device belongs to no account yet: run vaultr login or vaultr signup."
        )
    device.pins.check(known.derivation, origin=origin)
    if device.pins.secret_key and secret_key is None:
        raise SecretKeyNeeded(
            "This device does not have the account's secret key: run vaultr login."
        )
    inputs = known.derivation
    root = keys.derive_root(password, inputs.salt, inputs.kdf, secret_key)
    try:
        return PasswordProof(known, root, open_known(known, root))
    except SealBroken:
        wrong = WrongPassword("The master password is wrong.")
        # A password changed elsewhere opens this device only after a login.
        wrong.add_note("If it was changed on another device: vaultr login --changed")
        raise wrong from None


def read_device(store: Store) -> tuple[Device, KnownAccount | None, bytes | None]:
    """Return device, account and secret key as of one moment; the last two may be None."""
    read = _read(store)
    # When all three are replaced, the device is written first: its pins reveal a change in between.
    if store.device().pins == read[0].pins:
        return read
    with store.folder.locked():
        return _read(store)


def _read(store: Store) -> tuple[Device, KnownAccount | None, bytes | None]:
    device, known = store.device(), store.account()
    pins, secret_key = device.pins, None
    if pins is not None and pins.secret_key:
        secret_key = store.secret_key(pins.account_id)
    return device, known, secret_key


def open_known(known: KnownAccount, root: bytes) -> bytes:
    """Return the account key of the account, from this device's files.

    :raises SealBroken: the root key was derived from another password or secret key.
    """
    inputs, key_set = known.derivation, known.key_set
    return keys.open_account_key(
        keys.kek(root, inputs.account_id),
        inputs.account_id,
        key_set.epoch,
        inputs.kdf,
        inputs.salt,
        key_set.account_key,
    )


def step_up(session: Session, proof: PasswordProof, factor: SecondFactor) -> None:
    """Prove the password to the server, which then allows sensitive actions for some minutes.

    :raises SecondFactorRequired: the account has a second factor, and none was passed.
    :raises CredentialsInvalid: the code is wrong or was used before.
    """
    body = {"auth_key": b64(proof.auth_key), **factor.to_json()}
    session.send("POST", "/auth/step-up", body)
