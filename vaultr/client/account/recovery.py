"""Recover an account with an email and its recovery key, after a waiting time of 24 hours."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from vaultr.client.account import new_credentials, pending_change
from vaultr.client.account.credentials import WrongServer
from vaultr.client.account.new_credentials import NewCredentials
from vaultr.client.account.pending_change import CredentialChange
from vaultr.client.crypto import keys
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import (
    AnswerInvalid,
    IntegrityError,
    Refused,
    RolledBack,
    SealBroken,
    ServerUnreachable,
    VaultrError,
)
from vaultr.client.log.pages import check_wraps, read_wraps
from vaultr.client.storage.key_set import KeySet
from vaultr.client.storage.pins import Derivation, Pins, read_prelogin
from vaultr.client.storage.profile import Deleted, Profile, accept_profile, open_profile
from vaultr.client.storage.store import Store
from vaultr.client.strict_json import Fields, Json
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.responses import fields_of
from vaultr.client.vaults.sync import VaultKeyring
from vaultr.protocol.encoding import b64

FILE: Final = "recovering.json"


_NOTHING_SENT: Final = (
    "The recovery was stopped before anything was sent: a new account key would have made these "
    "items permanently unreadable. Nothing was lost, and the recovery key stays valid. Ask the "
    "operator of the server why it is incomplete, then run vaultr recover again."
)


class AnotherRecovery(VaultrError):
    """A recovery with another new master password was sent from this device, and may be stored."""

    advice = (
        "Use the new master password of that recovery, or log in with it: vaultr login. To start "
        "again, use another folder: VAULTR_DIR"
    )


@dataclass(frozen=True, slots=True)
class Recovery:
    """A started recovery.

    :ivar ready_at: when it can be completed.
    :ivar handed: the sealed keys that complete it; None before that time.
    """

    email: str
    token: str = field(repr=False)
    key: RecoveryKey = field(repr=False)
    derivation: Derivation
    ready_at: datetime
    handed: "RecoveryData | None" = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancellation ended; None where the server's response does not say.

    :ivar started: whether the wait had begun; if not, only the emailed token became invalid.
    :ivar key_deleted: whether the recovery key is deleted.
    """

    started: bool | None
    key_deleted: bool | None


@dataclass(frozen=True, slots=True)
class RecoveryData:
    """The sealed keys that the server returns after the waiting time."""

    epoch: int
    sealed: bytes
    key_set: KeySet
    vaults: dict[UUID, dict[int, bytes]]
    machines: dict[UUID, bytes]

    @classmethod
    def read(cls, fields: Fields) -> "RecoveryData":
        """Read the response."""
        sealed = fields.within("recovery_key")
        vaults = {each.uuid("vault_id"): each for each in fields.objects("vaults")}
        return cls(
            epoch=sealed.count("epoch", least=1),
            sealed=sealed.binary("sealed"),
            key_set=KeySet.read(fields.within("key_set")),
            vaults={vault_id: read_wraps(each, vault_id) for vault_id, each in vaults.items()},
            machines={
                each.uuid("id"): each.binary("sealed_kek") for each in fields.objects("machines")
            },
        )


def ask(transport: Transport, email: str) -> None:
    """Request the email; the response is the same whether or not the account exists."""
    transport.send("POST", "/auth/recover", {"email": email})


def check(store: Store, transport: Transport, email: str) -> Derivation:
    """Request the account's KDF parameters; check account and server, if this device knows them.

    :raises PinMismatch: this folder belongs to another account or server.
    """
    answer = transport.send("POST", "/auth/prelogin", {"email": email}, again=True)
    derivation = read_prelogin(answer.body or {})
    pins = store.device().pins
    if pins is not None:
        pins.check(derivation, origin=transport.origin, changed=True)
    return derivation


def start(
    store: Store, transport: Transport, *, email: str, token: str, key: RecoveryKey
) -> Recovery:
    """Start the waiting time, or ask how much of it is left.

    :raises TokenInvalid: the token or the recovery key is wrong.
    :raises PinMismatch: this folder belongs to another account or server.
    """
    # Stored, so that the user does not need the email again after the waiting time.
    if begun(store) != (email, token):
        _keep(store, {"email": email, "token": token})
    derivation = check(store, transport, email)
    proof = {"token": token, "rk_auth": b64(key.auth(derivation.account_id))}
    fields = fields_of(transport.send("POST", "/auth/recover/start", proof), "recovery")
    ready_at = fields.time("ready_at")
    _keep(store, {"email": email, "token": token, "ready_at": ready_at.isoformat()})
    return Recovery(
        email=email,
        token=token,
        key=key,
        derivation=derivation,
        ready_at=ready_at,
        handed=RecoveryData.read(fields) if "recovery_key" in fields else None,
    )


def complete(store: Store, transport: Transport, recovery: Recovery, password: str) -> bytes | None:
    """Set a new master password and a new secret key, with a new account key.

    They are stored on this device before they are sent, so that a login finds them after a lost
    response. The server's data is verified as in a login; the profile names its server.

    :return: the new secret key, shown only once; log in next.
    :raises PinMismatch: the account belongs to another server, and this one is a relay.
    :raises RolledBack: the server's data lacks a vault of the profile.
    """
    data = recovery.handed
    if data is None:
        raise VaultrError(f"The recovery cannot be completed before {recovery.ready_at}.")
    account_id = recovery.derivation.account_id
    before = recovery.key.open(account_id, data.epoch, data.sealed)
    wrap = keys.wrap_key(before)
    profile = _checked(store, transport, wrap, account_id, data)
    keyring = VaultKeyring(wrap, account_id)
    sealed: dict[str, Any] = {
        "before": before,
        "opened": {each: keyring.open(each, wraps) for each, wraps in data.vaults.items()},
        "machines": {
            each: keys.open_machine_kek(wrap, account_id, each, kek)
            for each, kek in data.machines.items()
        },
    }
    with store.folder.locked():
        credentials = _credentials(store, recovery, profile, data.key_set, password)
        change = new_credentials.seal_change(
            credentials, data.key_set, profile, email=recovery.email, **sealed
        )
        pending_change.write(store.folder, change)
        _send(transport, recovery, credentials, change)
        forget(store)
    return credentials.new_secret_key


def _checked(
    store: Store, transport: Transport, wrap: bytes, account_id: UUID, data: RecoveryData
) -> Profile:
    """Open identity and profile; check them, and the vaults, against what this device has seen."""
    for kind, (public, sealed) in data.key_set.identity.items():
        keys.open_identity(wrap, account_id, kind, public, sealed)
    kept = data.key_set.profile
    profile = open_profile(wrap, account_id, kept.revision, kept.sealed)
    if profile.pins.origin != transport.origin:
        raise _through_a_relay(transport.origin, profile.pins.origin)
    known = store.account()
    accept_profile(known.profile if known else None, profile)
    _check_complete(profile, data.vaults)
    return profile


def _check_complete(profile: Profile, vaults: Mapping[UUID, Mapping[int, bytes]]) -> None:
    """Check that every vault of the profile is there, with its keys of all generations.

    Missing keys cannot be sealed under the new account key, so they would be lost.

    :raises IntegrityError: a vault or a key is missing.
    """
    try:
        for vault_id, known in profile.vaults.items():
            if not isinstance(known, Deleted) and vault_id not in vaults:
                raise RolledBack(
                    f"The server withholds vault {vault_id}, which your devices have seen at "
                    f"{known}.",
                    vault_id=vault_id,
                )
        for vault_id, wraps in vaults.items():
            head = profile.head_of(vault_id)
            newest = max(wraps, default=1)
            check_wraps(wraps, max(newest, head.generation if head else 1), vault_id)
    except IntegrityError as error:
        error.add_note(_NOTHING_SENT)
        raise


def _through_a_relay(used: str, own: str) -> WrongServer:
    return WrongServer(
        f"This account belongs to {own}, but you recover it through {used}, which relays your "
        f"requests. {used} received the proof of your recovery key; it did not receive the key "
        "itself, and cannot open your items. No new password was sent. Cancel this recovery now: "
        f"vaultr recover --cancel --url {own}. Then start again there."
    )


def _credentials(
    store: Store, recovery: Recovery, profile: Profile, key_set: KeySet, password: str
) -> NewCredentials:
    """Return new credentials; if others were sent already and may be stored, return those again."""
    change = pending_change.read(store.folder)
    if change is not None and not change.is_over(key_set):
        return _sent_credentials(change, password)
    # Use the parameters from the profile's pins, or today's, but never those of prelogin: they are
    # only the server's claim, and the account would keep them.
    pinned = replace(recovery.derivation, kdf=profile.pins.kdf)
    return new_credentials.generate(
        password,
        pinned,
        origin=profile.pins.origin,
        epoch=key_set.epoch,
        account_key=keys.new_account_key(),
        secret_key=None,
        new_secret_key=keys.new_secret_key(),
    )


def _sent_credentials(change: CredentialChange, password: str) -> NewCredentials:
    inputs, key_set = change.account.derivation, change.account.key_set
    root = keys.derive_root(password, inputs.salt, inputs.kdf, change.secret_key)
    account_kek = keys.kek(root, inputs.account_id)
    try:
        account_key = keys.open_account_key(
            account_kek,
            inputs.account_id,
            key_set.epoch,
            inputs.kdf,
            inputs.salt,
            key_set.account_key,
        )
    except SealBroken:
        raise AnotherRecovery(str(AnotherRecovery.__doc__)) from None
    return NewCredentials(
        derivation=inputs,
        pins=change.pins,
        epoch=key_set.epoch,
        auth_key=keys.auth_key(root, inputs.account_id),
        account_key=account_key,
        sealed=key_set.account_key,
        new_secret_key=change.secret_key,
    )


def _send(
    transport: Transport, recovery: Recovery, credentials: NewCredentials, change: CredentialChange
) -> None:
    proof = {"token": recovery.token, "rk_auth": b64(recovery.key.auth(change.pins.account_id))}
    # The proof comes first: the server checks it before it reads the rest of a large body.
    body: Json = {**proof, **new_credentials.body_of(credentials, change)}
    try:
        transport.send("POST", "/auth/recover/complete", body, again=True)
    except Refused:
        # An earlier attempt, whose response was lost, has used the token.
        if not _is_stored(transport, recovery.email, change.pins):
            raise


def _is_stored(transport: Transport, email: str, pins: Pins) -> bool:
    """Check whether the server shows the new derivation; the next login proves it."""
    try:
        answer = transport.send("POST", "/auth/prelogin", {"email": email}, again=True)
        shown = read_prelogin(answer.body or {})
    except (Refused, ServerUnreachable, AnswerInvalid):
        return False
    return Pins.of(shown, origin=pins.origin, secret_key=pins.secret_key) == pins


def _keep(store: Store, values: Json) -> None:
    store.folder.write_signed(FILE, json.dumps(values).encode())


def ready_at(store: Store) -> datetime | None:
    """Return when the waiting time of this folder's recovery ends."""
    text = (store.folder.read_json(FILE) or {}).get("ready_at")
    try:
        return None if text is None else datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise store.folder.altered(FILE) from None


def begun(store: Store) -> tuple[str, str] | None:
    """Return email address and token of this folder's recovery."""
    value = store.folder.read_json(FILE)
    try:
        return None if value is None else (str(value["email"]), str(value["token"]))
    except KeyError:
        raise store.folder.altered(FILE) from None


def forget(store: Store) -> None:
    """Delete the token of a recovery that has ended."""
    store.folder.remove(FILE)


def cancel(transport: Transport, token: str) -> None:
    """End a recovery by its token, and delete its recovery key."""
    transport.send("POST", "/auth/recover/cancel", {"token": token})
