"""Login: what the master password opens, and all checks before and after it is used."""

from dataclasses import replace
from typing import Final
from uuid import UUID

from vaultr.client.account import pending_change as changes
from vaultr.client.account import previous_session
from vaultr.client.account.open_account import (
    Credentials,
    SecretKeyNeeded,
    SignupWaits,
    WrongServer,
)
from vaultr.client.account.pending_change import Change
from vaultr.client.crypto import keys
from vaultr.client.errors import AnswerInvalid, ChainBroken, PinMismatch, RolledBack, UsageError
from vaultr.client.storage import rewrapped_keys
from vaultr.client.storage.device import Device, KnownAccount, device_name
from vaultr.client.storage.key_set import KeySet
from vaultr.client.storage.pins import Derivation, Pins, read_prelogin
from vaultr.client.storage.profile import Profile, accept_profile, open_profile
from vaultr.client.storage.store import Store
from vaultr.client.strict_json import Json
from vaultr.client.transport import account_session as sessions
from vaultr.client.transport.account_session import Session
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.responses import SignedIn, Tokens, signed_in
from vaultr.client.vaults import rewrap_refresh
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.protocol.encoding import b64

_NEW_HERE: Final = (
    "This device is new to the account: give its secret key, or say that it has none."
)


def login(store: Store, transport: Transport, given: Credentials) -> UnlockedAccount:
    """Open a session, and the account with it; nothing is kept unless all of it holds.

    What is kept is written together: a kill leaves the device as it was, or signed in. The folder
    is locked from the first look at the device on, so that what another command changes of it
    meanwhile (``passwd`` above all) is not written over: one of the two is first, whole.

    :raises SecretKeyNeeded: a new device was given no secret key; nothing was sent.
    :raises UnsafeParameters: the server asks for inputs outside the bounds.
    :raises PinMismatch: the server asks for other inputs than those pinned. In both cases the
        password was not used.
    :raises CredentialsInvalid: the server says that the password is wrong.
    """
    with store.folder.locked():
        opened, tokens, replaced = _login(store, transport, given)
    previous_session.end(transport, tokens, replaced)
    return opened


def _login(
    store: Store, transport: Transport, given: Credentials
) -> tuple[UnlockedAccount, Tokens, UUID | None]:
    device, change = store.device(), changes.read(store.folder)
    if not (_knows(device, change, given.email) or _says_of_secret_key(given)):
        raise SecretKeyNeeded(_NEW_HERE)
    asked = transport.send("POST", "/auth/prelogin", {"email": given.email}, again=True)
    derivation = read_prelogin(asked.body or {})
    ours = _ours(change, derivation, transport.origin)
    pinned = ours.pins if ours else _pinned(device, given, derivation, transport.origin)
    secret_key = _secret_key(store, given, derivation.account_id, pinned, ours)
    used = Pins.of(derivation, origin=transport.origin, secret_key=secret_key is not None)
    root = keys.derive_root(given.password, derivation.salt, derivation.kdf, secret_key)
    device = replace(device, name=device_name(given.device_name or device.name))
    store.keep_device(device)
    answer = signed_in(
        transport.send("POST", "/auth/login", _login_body(given, root, device, used))
    )
    opened = _open(store, transport, answer, derivation, used, root)
    replaced = _keep(
        store,
        transport,
        opened,
        answer,
        device=device,
        change=change,
        given=given,
        secret_key=secret_key,
    )
    return opened, answer.tokens, replaced


def _knows(device: Device, change: Change | None, email: str) -> bool:
    return bool(device.pins or change or device.waiting_for(email))


def _says_of_secret_key(given: Credentials) -> bool:
    return bool(given.secret_key or given.kit or not given.has_secret_key)


def _ours(change: Change | None, derivation: Derivation, origin: str) -> Change | None:
    """Give the change that this device began, when the server shows that it has taken it."""
    if change is None or change.pins.origin != origin or not change.pins.fits(derivation):
        return None
    return change


def _pinned(device: Device, given: Credentials, derivation: Derivation, origin: str) -> Pins | None:
    """Give the pins that this login must fit, and check that what the server asks for does."""
    if given.kit is not None:
        given.kit.pins.check(derivation, origin=origin, changed=given.changed)
    if device.pins is not None:
        device.pins.check(derivation, origin=origin, changed=given.changed)
        return device.pins
    if given.kit is not None:
        return given.kit.pins
    waiting = [each.pins for each in device.waiting_for(given.email)]
    for pins in waiting:
        if pins.account_id == derivation.account_id:
            pins.check(derivation, origin=origin)
            return pins
    if waiting and not _says_of_secret_key(given):
        raise SignupWaits(
            "The signup from this device still waits for its mail to be confirmed, as it seems:"
            " vaultr verify TOKEN (the mail again: vaultr resend). The password was not used."
        )
    if not _says_of_secret_key(given):  # known is a recovery alone, which is not in force
        raise SecretKeyNeeded(_NEW_HERE)
    return None


def _secret_key(
    store: Store,
    given: Credentials,
    account_id: UUID,
    pinned: Pins | None,
    ours: Change | None,
) -> bytes | None:
    said = given.secret_key or (given.kit.secret_key if given.kit else None)
    if pinned is None:
        return said
    if not pinned.secret_key and not given.changed:
        if said is not None:
            raise UsageError("this account has no secret key")
        return None
    drawn = None if ours is None else ours.secret_key
    secret_key = drawn or said or store.secret_key(account_id)
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
) -> UnlockedAccount:
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
    session = Session(transport, store.folder, account_id=account_id, account_key=account_key)
    profile = open_profile(wrap, account_id, key_set.profile.revision, key_set.profile.sealed)
    if profile.pins.origin != transport.origin:
        raise _through_a_relay(transport.origin, profile.pins.origin)
    used.check_same(profile.pins)
    _accept(before, profile, answer, session)
    known = KnownAccount(derivation, key_set, heads=profile.document["vaults"])
    return UnlockedAccount.open(store, session, known, account_key)


def _through_a_relay(used: str, own: str) -> PinMismatch:
    """Return the error for a login through a server that only passes requests on to the right one.

    The key set that came back is genuine, so the relay has a session of this account.
    """
    return WrongServer(
        f"This account belongs to {own}, but you signed in through {used}, which passed your login "
        f"on. {used} received the key that proves your password, and can now sign in to your "
        "account. It did not receive the password or the secret key, and cannot open your items. "
        "Nothing was stored on this device. Do this now, to end its access: "
        f"vaultr login --url {own}, then vaultr passwd, which ends all other sessions."
    )


def _accept(
    before: KnownAccount | None, profile: Profile, answer: SignedIn, session: Session
) -> None:
    try:
        accept_profile(before.profile if before else None, profile)
    except (RolledBack, ChainBroken) as error:
        # Whoever restored a backup explains the difference, and accepts it: that takes a session.
        if before is not None and before.key_set.account_key == answer.key_set.account_key:
            session.begin(answer.tokens)
            error.add_note("This device is signed in nevertheless, to look at the difference.")
        raise


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


def _keep(
    store: Store,
    transport: Transport,
    opened: UnlockedAccount,
    answer: SignedIn,
    *,
    device: Device,
    change: Change | None,
    given: Credentials,
    secret_key: bytes | None,
) -> UUID | None:
    """Keep all that this login brought: all of it or, after a kill, nothing.

    :return: the session that this device had before, which is to end now.
    """
    replaced = previous_session.replaced_by(opened, answer.tokens, pins=device.pins, change=change)
    device = replace(device, email=given.email, pins=opened.profile.pins, waiting=())
    others: dict[str, bytes | None] = {sessions.FILE: opened.session.sealed(answer.tokens)}
    if change is not None and (change.is_in(answer.key_set) or change.is_over(answer.key_set)):
        others[changes.FILE] = None
    wraps = rewrap_refresh.refreshed_wraps(
        store.cache, opened, rewrap_refresh.TokenSender(transport, answer.tokens)
    )
    if wraps is not None:
        others |= dict.fromkeys(store.unsent())
        others[rewrapped_keys.FILE] = store.folder.signed(
            rewrapped_keys.FILE, rewrapped_keys.encode(wraps)
        )
    store.keep_signed_in(device, opened.known, secret_key=secret_key, others=others)
    return replaced
