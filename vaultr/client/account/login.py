"""Log in: check the server's parameters, use the master password, verify the key set."""

from dataclasses import replace
from typing import Final
from uuid import UUID

from vaultr.client.account import pending_change, previous_session
from vaultr.client.account.credentials import (
    Credentials,
    SecretKeyNeeded,
    SignupWaits,
    WrongServer,
)
from vaultr.client.account.pending_change import CredentialChange
from vaultr.client.crypto import keys
from vaultr.client.errors import AnswerInvalid, ChainBroken, PinMismatch, RolledBack, UsageError
from vaultr.client.storage import rewrapped_keys
from vaultr.client.storage.device import Device, KnownAccount, device_name
from vaultr.client.storage.key_set import KeySet
from vaultr.client.storage.pins import Derivation, Pins, read_prelogin
from vaultr.client.storage.profile import Profile, accept_profile, open_profile
from vaultr.client.storage.store import Store
from vaultr.client.strict_json import Json
from vaultr.client.transport.account_session import SESSION_FILE, Session
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.responses import LoginResponse, Tokens, read_login
from vaultr.client.vaults import rewrap_refresh
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.protocol.encoding import b64

_NEW_HERE: Final = (
    "This device is new to the account and does not have its secret key. The password was not used."
)


def login(store: Store, transport: Transport, credentials: Credentials) -> UnlockedAccount:
    """Start a session and open the account; store nothing unless everything is verified.

    All files are written together: if this process is killed, the device is either unchanged or
    logged in. The folder is locked meanwhile, so that another command, such as ``passwd``, runs
    completely before or completely after the login.

    :raises SecretKeyNeeded: this device is new, and the secret key is missing; nothing was sent.
    :raises UnsafeParameters: the server's KDF parameters are outside the bounds. The password was
        not used.
    :raises PinMismatch: the server's parameters are not the pinned ones. The password was not used.
    :raises CredentialsInvalid: the server rejected the password.
    """
    with store.folder.locked():
        opened, tokens, old_session = _login(store, transport, credentials)
    previous_session.end(transport, tokens, old_session)
    return opened


def _login(
    store: Store, transport: Transport, credentials: Credentials
) -> tuple[UnlockedAccount, Tokens, UUID | None]:
    device, change = store.device(), pending_change.read(store.folder)
    if not (_knows(device, change, credentials.email) or _has_answer_on_secret_key(credentials)):
        raise SecretKeyNeeded(_NEW_HERE)
    answer = transport.send("POST", "/auth/prelogin", {"email": credentials.email}, again=True)
    derivation = read_prelogin(answer.body or {})
    stored = _if_stored(change, derivation, transport.origin)
    pinned = stored.pins if stored else _pinned(device, credentials, derivation, transport.origin)
    secret_key = _secret_key(store, credentials, derivation.account_id, pinned, stored)
    used = Pins.of(derivation, origin=transport.origin, secret_key=secret_key is not None)
    root = keys.derive_root(credentials.password, derivation.salt, derivation.kdf, secret_key)
    device = replace(device, name=device_name(credentials.device_name or device.name))
    store.keep_device(device)
    response = read_login(
        transport.send("POST", "/auth/login", _login_body(credentials, root, device, used))
    )
    opened = _open(store, transport, response, derivation, used, root)
    old_session = _store(
        store,
        transport,
        opened,
        response,
        device=device,
        change=change,
        email=credentials.email,
        secret_key=secret_key,
    )
    return opened, response.tokens, old_session


def _knows(device: Device, change: CredentialChange | None, email: str) -> bool:
    return bool(device.pins or change or device.waiting_for(email))


def _has_answer_on_secret_key(credentials: Credentials) -> bool:
    return bool(credentials.secret_key or credentials.kit or not credentials.has_secret_key)


def _if_stored(
    change: CredentialChange | None, derivation: Derivation, origin: str
) -> CredentialChange | None:
    """Return this device's pending change if the server's parameters show that it was stored."""
    if change is None or change.pins.origin != origin or not change.pins.fits(derivation):
        return None
    return change


def _pinned(
    device: Device, credentials: Credentials, derivation: Derivation, origin: str
) -> Pins | None:
    """Check the server's parameters against the pins, and return the pins for this login."""
    if credentials.kit is not None:
        credentials.kit.pins.check(derivation, origin=origin, changed=credentials.changed)
    if device.pins is not None:
        device.pins.check(derivation, origin=origin, changed=credentials.changed)
        return device.pins
    if credentials.kit is not None:
        return credentials.kit.pins
    waiting = [each.pins for each in device.waiting_for(credentials.email)]
    for pins in waiting:
        if pins.account_id == derivation.account_id:
            pins.check(derivation, origin=origin)
            return pins
    if waiting and not _has_answer_on_secret_key(credentials):
        raise SignupWaits(
            "The signup from this device does not seem to be confirmed yet: run vaultr verify TOKEN"
            " with the token from the email (to get it again: vaultr resend). Your password was not"
            " used."
        )
    if not _has_answer_on_secret_key(credentials):  # this device has only a pending recovery
        raise SecretKeyNeeded(_NEW_HERE)
    return None


def _secret_key(
    store: Store,
    credentials: Credentials,
    account_id: UUID,
    pinned: Pins | None,
    stored: CredentialChange | None,
) -> bytes | None:
    entered = credentials.secret_key or (credentials.kit.secret_key if credentials.kit else None)
    if pinned is None:
        return entered
    if not pinned.secret_key and not credentials.changed:
        if entered is not None:
            raise UsageError("This account has no secret key.")
        return None
    new = None if stored is None else stored.secret_key
    secret_key = new or entered or store.secret_key(account_id)
    if secret_key is None and pinned.secret_key:
        raise SecretKeyNeeded("This device does not have the account's secret key: enter it.")
    return secret_key


def _login_body(credentials: Credentials, root: bytes, device: Device, used: Pins) -> Json:
    body: Json = {
        "email": credentials.email,
        "auth_key": b64(keys.auth_key(root, used.account_id)),
        "device": {"id": str(device.id), "name": device.name},
    }
    factors = {"totp": credentials.totp, "recovery_code": credentials.recovery_code}
    return body | {name: value for name, value in factors.items() if value is not None}


def _open(
    store: Store,
    transport: Transport,
    response: LoginResponse,
    derivation: Derivation,
    used: Pins,
    root: bytes,
) -> UnlockedAccount:
    """Open the whole key set, and check it against what this device has seen before."""
    account_id, key_set = derivation.account_id, response.key_set
    if response.account_id != account_id:
        raise PinMismatch(
            f"The server logged this device in to account {response.account_id} instead of "
            f"{account_id}."
        )
    before = store.account()
    if before is not None:
        _check_epoch(before.key_set, key_set)
    account_key = _account_key(derivation, root, key_set)
    wrap = keys.wrap_key(account_key)
    for kind, (public, sealed) in key_set.identity.items():
        keys.open_identity(wrap, account_id, kind, public, sealed)
    session = Session(transport, store.folder, account_id=account_id, account_key=account_key)
    profile = open_profile(wrap, account_id, key_set.profile.revision, key_set.profile.sealed)
    if profile.pins.origin != transport.origin:
        raise _through_a_relay(transport.origin, profile.pins.origin)
    used.check_same(profile.pins)
    _accept(before, profile, response, session)
    known = KnownAccount(derivation, key_set, heads=profile.document["vaults"])
    return UnlockedAccount.open(store, session, known, account_key)


def _through_a_relay(used: str, own: str) -> WrongServer:
    """Return the error for a login through a server that relays requests to the right one.

    The returned key set is genuine, so the relay has a session of this account.
    """
    return WrongServer(
        f"This account belongs to {own}, but you logged in through {used}, which relayed your "
        f"login. {used} received the key that proves your password, and can now log in to your "
        "account. It did not receive the password or the secret key, and cannot open your items. "
        "Nothing was stored on this device. Do this now, to end its access: "
        f"vaultr login --url {own}, then vaultr passwd, which ends all other sessions."
    )


def _accept(
    before: KnownAccount | None, profile: Profile, response: LoginResponse, session: Session
) -> None:
    try:
        accept_profile(before.profile if before else None, profile)
    except (RolledBack, ChainBroken) as error:
        # After a restored backup, a session is needed to list the differences and accept them.
        if before is not None and before.key_set.account_key == response.key_set.account_key:
            session.begin(response.tokens)
            error.add_note("This device is logged in all the same, so that you can list them.")
        raise


def _check_epoch(before: KeySet, shown: KeySet) -> None:
    if shown.epoch < before.epoch:
        raise RolledBack(
            f"The server shows an older account key: number {shown.epoch}, this device has seen "
            f"number {before.epoch}. The account key encrypts the keys of all vaults."
        )
    if shown.epoch == before.epoch and shown.account_key != before.account_key:
        raise AnswerInvalid("the account key has changed, but its number has not")


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


def _store(
    store: Store,
    transport: Transport,
    opened: UnlockedAccount,
    response: LoginResponse,
    *,
    device: Device,
    change: CredentialChange | None,
    email: str,
    secret_key: bytes | None,
) -> UUID | None:
    """Write all files of the login together; a kill leaves either all of them or none.

    :return: this device's previous session, which must end now.
    """
    old_session = previous_session.replaced_by(
        opened, response.tokens, pins=device.pins, change=change
    )
    device = replace(device, email=email, pins=opened.profile.pins, waiting=())
    others: dict[str, bytes | None] = {SESSION_FILE: opened.session.sealed(response.tokens)}
    if change is not None and (change.is_in(response.key_set) or change.is_over(response.key_set)):
        others[pending_change.FILE] = None
    wraps = rewrap_refresh.refreshed_wraps(
        store.cache, opened, rewrap_refresh.TokenSender(transport, response.tokens)
    )
    if wraps is not None:
        others |= dict.fromkeys(store.unsent())
        others[rewrapped_keys.FILE] = store.folder.signed(
            rewrapped_keys.FILE, rewrapped_keys.encode(wraps)
        )
    store.keep_signed_in(device, opened.known, secret_key=secret_key, others=others)
    return old_session
