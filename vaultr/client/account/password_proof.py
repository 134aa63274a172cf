"""Proves the master password: to this device at once, and to the server where it asks for it."""

from dataclasses import dataclass, field

from vaultr.client.account.open_account import NotSignedIn, SecretKeyNeeded, WrongPassword
from vaultr.client.crypto import keys
from vaultr.client.errors import SealBroken
from vaultr.client.storage.device import Device, KnownAccount
from vaultr.client.storage.store import Store
from vaultr.client.strict_json import Json
from vaultr.client.transport.account_session import Session
from vaultr.protocol.encoding import b64


@dataclass(frozen=True, slots=True)
class Proof:
    """What the right password gives: the root of all keys, and the account key that it opens."""

    known: KnownAccount
    root: bytes = field(repr=False)
    account_key: bytes = field(repr=False)

    @property
    def auth_key(self) -> bytes:
        """What proves the password to the server."""
        return keys.auth_key(self.root, self.known.derivation.account_id)


@dataclass(frozen=True, slots=True)
class Factor:
    """A second factor, at most one of both; none where the account has none."""

    totp: str | None = field(default=None, repr=False)
    recovery_code: str | None = field(default=None, repr=False)

    def to_json(self) -> Json:
        """Give what is sent of it."""
        said = {"totp": self.totp, "recovery_code": self.recovery_code}
        return {name: value for name, value in said.items() if value is not None}


def prove(store: Store, password: str, *, origin: str) -> Proof:
    """Open the account with what this device kept; the server is not asked.

    :param origin: the server that this device is about to talk to.
    :raises NotSignedIn: this device never logged in.
    :raises PinMismatch: it belongs to another server.
    :raises WrongPassword: the password does not open it.
    """
    device, known, secret_key = kept(store)
    if device.pins is None or known is None:
        raise NotSignedIn("This device belongs to no account yet: run vaultr login or signup.")
    device.pins.check(known.derivation, origin=origin)
    if device.pins.secret_key and secret_key is None:
        raise SecretKeyNeeded("The secret key of this account is not on this device.")
    inputs = known.derivation
    root = keys.derive_root(password, inputs.salt, inputs.kdf, secret_key)
    try:
        return Proof(known, root, open_known(known, root))
    except SealBroken:
        wrong = WrongPassword("The master password is wrong.")
        # This device knows no newer one before it has logged in with it.
        wrong.add_note("If it was changed on another device: vaultr login --changed")
        raise wrong from None


def kept(store: Store) -> tuple[Device, KnownAccount | None, bytes | None]:
    """Read device, account and secret key, all of one moment; the last two where there are any."""
    found = _read(store)
    # The device is written first where all three are replaced, so that its pins tell.
    if store.device().pins == found[0].pins:
        return found
    with store.folder.locked():
        return _read(store)


def _read(store: Store) -> tuple[Device, KnownAccount | None, bytes | None]:
    device, known = store.device(), store.account()
    pins, secret_key = device.pins, None
    if pins is not None and pins.secret_key:
        secret_key = store.secret_key(pins.account_id)
    return device, known, secret_key


def open_known(known: KnownAccount, root: bytes) -> bytes:
    """Open the account key of what a device knows of the account.

    :raises SealBroken: the root comes from another password or secret key.
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


def step_up(session: Session, proof: Proof, factor: Factor) -> None:
    """Tell the server that the owner is there: for some minutes it then allows what needs that.

    :raises SecondFactorRequired: the account has a second factor, and none was given.
    :raises CredentialsInvalid: the code is wrong, or was used before.
    """
    body = {"auth_key": b64(proof.auth_key), **factor.to_json()}
    session.send("POST", "/auth/step-up", body)
