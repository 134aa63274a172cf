"""Login and unlocking: what the master password opens, and all checks before and after."""

from dataclasses import dataclass, field, replace
from uuid import UUID

from vaultr.client import keys
from vaultr.client.device import Device, KnownAccount, device_name
from vaultr.client.errors import (
    AnswerInvalid,
    PinMismatch,
    RolledBack,
    SealBroken,
    UsageError,
    VaultrError,
)
from vaultr.client.keyset import KeySet, SignedIn, signed_in
from vaultr.client.opened import OpenedAccount
from vaultr.client.pins import Derivation, Pins, read_prelogin
from vaultr.client.profile import accept_profile, open_profile
from vaultr.client.session import Session
from vaultr.client.store import Store
from vaultr.client.strict import Json
from vaultr.client.transport import Transport
from vaultr.protocol.encoding import b64


class WrongPassword(VaultrError):
    """The password, or the secret key with it, does not open the account."""

    exit_code = 1


class SecretKeyNeeded(VaultrError):
    """This device does not have the account's secret key; nothing was sent."""

    exit_code = 1


class NotSignedIn(UsageError):
    """This device belongs to no account yet: sign up or log in first."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the owner gives to log in.

    :ivar has_secret_key: False when the owner says that the account has none; no server is asked.
    :ivar changed: the owner says that the password was changed elsewhere.
    """

    email: str
    password: str = field(repr=False)
    secret_key: bytes | None = field(default=None, repr=False)
    has_secret_key: bool = True
    device_name: str | None = None
    changed: bool = False
    totp: str | None = field(default=None, repr=False)
    recovery_code: str | None = field(default=None, repr=False)


def login(store: Store, transport: Transport, given: Credentials) -> OpenedAccount:
    """Open a session, and the account with it; nothing is kept unless all of it holds.

    :raises SecretKeyNeeded: a new device was given no secret key; nothing was sent.
    :raises UnsafeParameters: the server asks for inputs outside the bounds.
    :raises PinMismatch: the server asks for other inputs than those pinned. In both cases the
        password was not used.
    :raises CredentialsInvalid: the server says that the password is wrong.
    """
    device = store.device()
    if not (device.pins or device.waiting_for(given.email) or _says_of_secret_key(given)):
        raise SecretKeyNeeded(
            "This device is new to the account: give its secret key, or say that it has none."
        )
    asked = transport.send("POST", "/auth/prelogin", {"email": given.email}, again=True)
    derivation = read_prelogin(asked.body or {})
    pinned = _pinned(device, given, derivation, transport.origin)
    secret_key = _secret_key(store, given, derivation.account_id, pinned)
    used = Pins.of(derivation, origin=transport.origin, secret_key=secret_key is not None)
    root = keys.derive_root(given.password, derivation.salt, derivation.kdf, secret_key)
    device = replace(device, name=device_name(given.device_name or device.name))
    store.keep_device(device)
    answer = signed_in(
        transport.send("POST", "/auth/login", _login_body(given, root, device, used))
    )
    opened = _open(store, transport, answer, derivation, used, root)
    with store.folder.locked():
        if secret_key is not None:
            store.keep_secret_key(used.account_id, secret_key)
        store.keep_account(opened.known)
        opened.session.begin(answer.tokens)
        store.keep_device(replace(device, email=given.email, pins=used, waiting=()))
    return opened


def _says_of_secret_key(given: Credentials) -> bool:
    return given.secret_key is not None or not given.has_secret_key


def _pinned(device: Device, given: Credentials, derivation: Derivation, origin: str) -> Pins | None:
    """Give the pins that this login must fit, and check that what the server asks for does."""
    if device.pins is not None:
        device.pins.check(derivation, origin=origin, changed=given.changed)
        return device.pins
    waiting = [each.pins for each in device.waiting_for(given.email)]
    for pins in waiting:
        if pins.account_id == derivation.account_id:
            pins.check(derivation, origin=origin)
            return pins
    if waiting and not _says_of_secret_key(given):
        raise PinMismatch(
            "the server shows another account than the one that was signed up here. If its mail "
            "was not confirmed yet, do that first; if you have an older account, give its secret "
            "key. The password was not used"
        )
    return None


def _secret_key(
    store: Store, given: Credentials, account_id: UUID, pinned: Pins | None
) -> bytes | None:
    if pinned is None:
        return given.secret_key
    if not pinned.secret_key and not given.changed:
        if given.secret_key is not None:
            raise UsageError("this account has no secret key")
        return None
    secret_key = given.secret_key or store.secret_key(account_id)
    if secret_key is None and pinned.secret_key:
        raise SecretKeyNeeded("The secret key of this account is not on this device: give it.")
    return secret_key


def _login_body(given: Credentials, root: bytes, device: Device, used: Pins) -> Json:
    body: Json = {
        "email": given.email,
        "auth_key": b64(keys.auth_key(root, used.account_id)),
        "device": {"id": str(device.id), "name": device.name},
    }
    factors = {"totp": given.totp, "recovery_code": given.recovery_code}
    return body | {name: value for name, value in factors.items() if value is not None}


def _open(
    store: Store,
    transport: Transport,
    answer: SignedIn,
    derivation: Derivation,
    used: Pins,
    root: bytes,
) -> OpenedAccount:
    """Open all of the key set, and check it against what this device saw before."""
    account_id, key_set = derivation.account_id, answer.key_set
    if answer.account_id != account_id:
        raise PinMismatch(f"the server opened account {answer.account_id} instead of {account_id}")
    before = store.account()
    if before is not None:
        _check_epoch(before.key_set, key_set)
    account_key = _account_key(derivation, root, key_set)
    wrap = keys.wrap_key(account_key)
    for kind, (public, sealed) in key_set.identity.items():
        keys.open_identity(wrap, account_id, kind, public, sealed)
    profile = open_profile(wrap, account_id, key_set.profile.revision, key_set.profile.sealed)
    accept_profile(before.profile if before else None, profile)
    used.check_same(profile.pins)
    known = KnownAccount(derivation, key_set, heads=profile.document["vaults"])
    session = Session(transport, store.folder, account_id=account_id, account_key=account_key)
    return OpenedAccount.open(store, session, known, account_key)


def _check_epoch(before: KeySet, shown: KeySet) -> None:
    if shown.epoch < before.epoch:
        raise RolledBack(
            f"the account key went back: seen before is epoch {before.epoch}, "
            f"the server shows {shown.epoch}"
        )
    if shown.epoch == before.epoch and shown.account_key != before.account_key:
        raise AnswerInvalid("the server shows another account key of the same epoch")


def _account_key(derivation: Derivation, root: bytes, key_set: KeySet) -> bytes:
    account_id = derivation.account_id
    return keys.open_account_key(
        keys.kek(root, account_id),
        account_id,
        key_set.epoch,
        derivation.kdf,
        derivation.salt,
        key_set.account_key,
    )


def unlock(store: Store, transport: Transport, password: str) -> OpenedAccount:
    """Open the account with what this device kept; the server is not asked.

    :raises NotSignedIn: this device never logged in.
    :raises WrongPassword: the password does not open it.
    """
    device, known = store.device(), store.account()
    if device.pins is None or known is None:
        raise NotSignedIn("This device belongs to no account yet: run vaultr login or signup.")
    device.pins.check(known.derivation, origin=transport.origin)
    secret_key = None
    if device.pins.secret_key:
        secret_key = store.secret_key(device.pins.account_id)
        if secret_key is None:
            raise SecretKeyNeeded("The secret key of this account is not on this device.")
    inputs = known.derivation
    root = keys.derive_root(password, inputs.salt, inputs.kdf, secret_key)
    try:
        account_key = _account_key(inputs, root, known.key_set)
    except SealBroken:
        raise WrongPassword("The master password is wrong.") from None
    return resume(store, transport, known, account_key)


def resume(
    store: Store, transport: Transport, known: KnownAccount, account_key: bytes
) -> OpenedAccount:
    """Open the account with its key, as the unlock process handed it over.

    :raises SealBroken: the key is another account's, or an older one.
    """
    account_id = known.derivation.account_id
    session = Session(transport, store.folder, account_id=account_id, account_key=account_key)
    return OpenedAccount.open(store, session, known, account_key)
