"""Generate new credentials: a new salt, and the account key resealed or replaced."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from vaultr.client.account.change_outcome import seal_old_key
from vaultr.client.account.pending_change import CredentialChange
from vaultr.client.crypto import aad, keys
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.storage.device import KnownAccount
from vaultr.client.storage.key_set import KeySet, SealedProfile
from vaultr.client.storage.pins import Derivation, Pins
from vaultr.client.storage.profile import Profile, seal_profile
from vaultr.client.storage.rewrapped_keys import Wraps
from vaultr.client.strict_json import Json
from vaultr.protocol.encoding import b64
from vaultr.protocol.kdf import SALT_BYTES, Kdf

# By vault, then by generation.
OpenedKeys = Mapping[UUID, Mapping[int, VaultKeys]]
Machines = Mapping[UUID, bytes]


@dataclass(frozen=True, slots=True)
class NewCredentials:
    """New credentials; all attempts to store them use the same ones.

    :ivar sealed: the account key under the new password, bound to its epoch and derivation.
    :ivar new_secret_key: None if the account keeps its secret key.
    """

    derivation: Derivation
    pins: Pins
    epoch: int
    auth_key: bytes = field(repr=False)
    account_key: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    new_secret_key: bytes | None = field(repr=False)


def generate(
    password: str,
    before: Derivation,
    *,
    origin: str,
    epoch: int,
    account_key: bytes,
    secret_key: bytes | None,
    new_secret_key: bytes | None = None,
) -> NewCredentials:
    """Return new credentials with a new salt.

    The KDF parameters are the recommended ones, but never lower than before.

    :param epoch: the epoch before the change.
    :param account_key: the account key to seal: a new one, or the current one.
    """
    today = Kdf.RECOMMENDED
    kdf = Kdf(today.alg, max(today.m, before.kdf.m), max(today.t, before.kdf.t), today.p)
    derivation = Derivation(before.account_id, kdf, secrets.token_bytes(SALT_BYTES))
    used = new_secret_key or secret_key
    root = keys.derive_root(password, derivation.salt, kdf, used)
    account_kek = keys.kek(root, before.account_id)
    return NewCredentials(
        derivation=derivation,
        pins=Pins.of(derivation, origin=origin, secret_key=used is not None),
        epoch=epoch + 1,
        auth_key=keys.auth_key(root, before.account_id),
        account_key=account_key,
        sealed=keys.seal_account_key(
            account_kek, before.account_id, epoch + 1, kdf, derivation.salt, account_key
        ),
        new_secret_key=new_secret_key,
    )


def seal_change(
    credentials: NewCredentials,
    key_set: KeySet,
    profile: Profile,
    *,
    email: str,
    before: bytes | None = None,
    opened: OpenedKeys | None = None,
    machines: Machines | None = None,
) -> CredentialChange:
    """Seal everything under the account key, for one attempt.

    :param profile: the current profile, which precedes the new one.
    :param before: the old account key if it is replaced; then ``opened`` contains all keys of all
        vaults, and ``machines`` the sealing keys of all machines.
    """
    account_id = credentials.derivation.account_id
    wrap = keys.wrap_key(credentials.account_key)
    changed = profile.with_pins(credentials.pins)
    identity, wraps, old_key = key_set.identity, None, None
    if opened is not None:
        changed = changed.with_keys_due({vault_id: max(each) for vault_id, each in opened.items()})
        wraps = _wraps(wrap, account_id, opened)
    if before is not None:
        identity = _identity(keys.wrap_key(before), wrap, account_id, key_set)
        old_key = seal_old_key(credentials.account_key, account_id, before)
    sealed = seal_profile(wrap, account_id, changed, profile.revision + 1)
    new = replace(
        key_set,
        epoch=credentials.epoch,
        account_key=credentials.sealed,
        identity=identity,
        profile=SealedProfile(sealed.revision, sealed.sealed),
    )
    return CredentialChange(
        email=email,
        account=KnownAccount(credentials.derivation, new, heads=sealed.document["vaults"]),
        pins=credentials.pins,
        secret_key=credentials.new_secret_key,
        wraps=wraps,
        before=old_key,
        machines={
            machine_id: keys.seal_machine_kek(wrap, account_id, machine_id, kek)
            for machine_id, kek in (machines or {}).items()
        },
    )


def body_of(credentials: NewCredentials, change: CredentialChange) -> Json:
    """Return the request body of a change."""
    key_set = change.account.key_set.to_json()
    body: Json = {
        "auth_key": b64(credentials.auth_key),
        "kdf": credentials.derivation.kdf.to_json(),
        "salt": b64(credentials.derivation.salt),
        "account_key": key_set["account_key"],
        "profile": key_set["profile"],
    }
    if change.wraps is not None:
        body["rewrap"] = {
            "identity": key_set["identity"],
            "vaults": [
                {
                    "vault_id": str(vault_id),
                    "generation": generation,
                    "sealed_key": b64(sealed),
                }
                for vault_id, wraps in change.wraps.items()
                for generation, sealed in wraps.items()
            ],
            "machines": [
                {"id": str(machine_id), "sealed_kek": b64(sealed)}
                for machine_id, sealed in change.machines.items()
            ],
        }
    return body


def _identity(
    before: bytes, wrap: bytes, account_id: UUID, key_set: KeySet
) -> dict[aad.IdentityKind, tuple[bytes, bytes]]:
    """Seal the private identity keys under another key; the public keys do not change."""
    resealed = {}
    for kind, (public, sealed) in key_set.identity.items():
        private = keys.open_identity(before, account_id, kind, public, sealed)
        resealed[kind] = (public, keys.seal_identity(wrap, account_id, kind, public, private))
    return resealed


def _wraps(wrap: bytes, account_id: UUID, opened: OpenedKeys) -> Wraps:
    return {
        vault_id: {
            generation: each.wrap(wrap, account_id, vault_id, generation)
            for generation, each in by_generation.items()
        }
        for vault_id, by_generation in opened.items()
    }
