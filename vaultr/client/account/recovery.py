"""Recovers an account whose password is lost: by its mailbox, its recovery key, and a wait."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from vaultr.client.account import new_credentials
from vaultr.client.account import pending_change as changes
from vaultr.client.account.new_credentials import Drawn
from vaultr.client.account.open_account import WrongServer
from vaultr.client.account.pending_change import Change
from vaultr.client.crypto import keys
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import (
    AnswerInvalid,
    IntegrityError,
    PinMismatch,
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
    "items unreadable permanently. Nothing was lost, and the recovery key stays valid. Ask whoever "
    "runs the server why it is incomplete, then run vaultr recover again."
)


class AnotherRecovery(VaultrError):
    """A recovery with another new master password was sent from here, and may have been taken."""

    advice = (
        "Give the new master password from then, or sign in with it: vaultr login. To begin anew, "
        "use another folder: VAULTR_DIR"
    )


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery that was started.

    :ivar ready_at: from when it can be completed.
    :ivar handed: what is needed for that; None before.
    """

    email: str
    token: str = field(repr=False)
    key: RecoveryKey = field(repr=False)
    derivation: Derivation
    ready_at: datetime
    handed: "Handed | None" = field(repr=False)


@dataclass(frozen=True, slots=True)
class Handed:
    """What the server hands out after the wait, all of it sealed."""

    epoch: int
    sealed: bytes
    key_set: KeySet
    vaults: dict[UUID, dict[int, bytes]]
    machines: dict[UUID, bytes]

    @classmethod
    def read(cls, fields: Fields) -> "Handed":
        """Read it from the answer."""
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
    """Ask for the mail; the answer is alike whether there is such an account or not."""
    transport.send("POST", "/auth/recover", {"email": email})


def start(
    store: Store, transport: Transport, *, email: str, token: str, key: RecoveryKey
) -> Recovery:
    """Start the wait, or ask what is left of it.

    :raises TokenInvalid: the token or the recovery key is wrong.
    :raises PinMismatch: this folder belongs to another account or server.
    """
    device = store.device()
    # Kept, so that nobody has to find the mail again when the wait is over.
    store.folder.write_signed(FILE, json.dumps({"email": email, "token": token}).encode())
    asked = transport.send("POST", "/auth/prelogin", {"email": email}, again=True)
    derivation = read_prelogin(asked.body or {})
    if device.pins is not None:
        device.pins.check(derivation, origin=transport.origin, changed=True)
    proof = {"token": token, "rk_auth": b64(key.auth(derivation.account_id))}
    fields = fields_of(transport.send("POST", "/auth/recover/start", proof), "recovery")
    return Recovery(
        email=email,
        token=token,
        key=key,
        derivation=derivation,
        ready_at=fields.time("ready_at"),
        handed=Handed.read(fields) if "recovery_key" in fields else None,
    )


def complete(store: Store, transport: Transport, recovery: Recovery, password: str) -> bytes | None:
    """Set a new master password and a new secret key, under a new account key.

    They are kept before they are sent, so that a login from this folder finds them after a lost
    answer. What was handed out is checked as at a login; the profile says for which server it is.

    :return: the new secret key, to be shown once; a login with the password follows.
    :raises PinMismatch: the account is of another server, which this one relays to.
    :raises RolledBack: a vault of the profile is missing in what was handed out.
    """
    handed = recovery.handed
    if handed is None:
        raise VaultrError(f"The recovery can be completed from {recovery.ready_at} on.")
    account_id = recovery.derivation.account_id
    before = recovery.key.open(account_id, handed.epoch, handed.sealed)
    wrap = keys.wrap_key(before)
    profile = _checked(store, transport, wrap, account_id, handed)
    keyring = VaultKeyring(wrap, account_id)
    sealed: dict[str, Any] = {
        "before": before,
        "opened": {each: keyring.open(each, wraps) for each, wraps in handed.vaults.items()},
        "machines": {
            each: keys.open_machine_kek(wrap, account_id, each, kek)
            for each, kek in handed.machines.items()
        },
    }
    with store.folder.locked():
        drawn = _drawn(store, recovery, profile, handed.key_set, password)
        change = new_credentials.change_of(
            drawn, handed.key_set, profile, email=recovery.email, **sealed
        )
        changes.keep(store.folder, change)
        _send(transport, recovery, drawn, change)
        forget(store)
    return drawn.new_secret_key


def _checked(
    store: Store, transport: Transport, wrap: bytes, account_id: UUID, handed: Handed
) -> Profile:
    """Open identity and profile, and hold them against what this device saw, and the vaults."""
    for kind, (public, sealed) in handed.key_set.identity.items():
        keys.open_identity(wrap, account_id, kind, public, sealed)
    kept = handed.key_set.profile
    profile = open_profile(wrap, account_id, kept.revision, kept.sealed)
    if profile.pins.origin != transport.origin:
        raise _through_a_relay(transport.origin, profile.pins.origin)
    known = store.account()
    accept_profile(known.profile if known else None, profile)
    _check_complete(profile, handed.vaults)
    return profile


def _check_complete(profile: Profile, vaults: Mapping[UUID, Mapping[int, bytes]]) -> None:
    """Check that every vault of the profile is there, with its keys of all generations.

    Keys that are missing now could not be sealed under the new account key: they would be lost.

    :raises IntegrityError: a vault or a key is missing.
    """
    try:
        for vault_id, known in profile.vaults.items():
            if not isinstance(known, Deleted) and vault_id not in vaults:
                raise RolledBack(
                    f"The server did not return vault {vault_id}, which your devices have seen at "
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


def _through_a_relay(used: str, own: str) -> PinMismatch:
    return WrongServer(
        f"This account belongs to {own}, but you recover it through {used}, which passes your "
        f"requests on. {used} received the proof of your recovery key; it did not receive the key "
        "itself, and cannot open your items. No new password was sent. Cancel this recovery now: "
        f"vaultr recover --cancel --url {own}. Then start again there."
    )


def _drawn(
    store: Store, recovery: Recovery, profile: Profile, key_set: KeySet, password: str
) -> Drawn:
    """Draw new credentials; those that were sent once already, if there are any, come again."""
    account_id = recovery.derivation.account_id
    change = changes.read(store.folder)
    if change is not None and not change.is_over(key_set):
        return _drawn_before(change, password)
    # The cost of the profile's pins or today's, never what prelogin asks for: that is the server's
    # word, and would stay with the account.
    pinned = Derivation(account_id, profile.pins.kdf, recovery.derivation.salt)
    return new_credentials.draw(
        password,
        pinned,
        origin=profile.pins.origin,
        epoch=key_set.epoch,
        account_key=keys.new_account_key(),
        secret_key=None,
        new_secret_key=keys.new_secret_key(),
    )


def _drawn_before(change: Change, password: str) -> Drawn:
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
    return Drawn(
        derivation=inputs,
        pins=change.pins,
        epoch=key_set.epoch,
        auth_key=keys.auth_key(root, inputs.account_id),
        account_key=account_key,
        sealed=key_set.account_key,
        new_secret_key=change.secret_key,
    )


def _send(transport: Transport, recovery: Recovery, drawn: Drawn, change: Change) -> None:
    proof = {"token": recovery.token, "rk_auth": b64(recovery.key.auth(change.pins.account_id))}
    body: Json = {**new_credentials.body_of(drawn, change), **proof}
    try:
        transport.send("POST", "/auth/recover/complete", body, again=True)
    except Refused:
        # An earlier try, whose answer was lost, ended the token.
        if not _is_taken(transport, recovery.email, change.pins):
            raise


def _is_taken(transport: Transport, email: str, pins: Pins) -> bool:
    """Ask whether the server shows the new derivation; the login that follows proves it."""
    try:
        asked = transport.send("POST", "/auth/prelogin", {"email": email}, again=True)
        shown = read_prelogin(asked.body or {})
    except (Refused, ServerUnreachable, AnswerInvalid):
        return False
    return Pins.of(shown, origin=pins.origin, secret_key=pins.secret_key) == pins


def begun(store: Store) -> tuple[str, str] | None:
    """Give address and token of the recovery that was begun from this folder, if there is one."""
    value = store.folder.read_json(FILE)
    try:
        return None if value is None else (str(value["email"]), str(value["token"]))
    except KeyError:
        raise store.folder.altered(FILE) from None


def forget(store: Store) -> None:
    """Forget the token of a recovery that is over."""
    store.folder.remove(FILE)


def cancel(transport: Transport, token: str) -> None:
    """End a recovery by its token, and the recovery key that was used."""
    transport.send("POST", "/auth/recover/cancel", {"token": token})
