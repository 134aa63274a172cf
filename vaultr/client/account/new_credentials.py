"""Draws new credentials of an account: another salt, and an account key sealed anew or replaced."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from vaultr.client.account.change_outcome import sealed_before
from vaultr.client.account.pending_change import Change
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
class Drawn:
    """New credentials, drawn once for all tries to have them taken.

    :ivar sealed: the account key under the new password, bound to its epoch and derivation.
    :ivar new_secret_key: None when the account keeps the one it has.
    """

    derivation: Derivation
    pins: Pins
    epoch: int
    auth_key: bytes = field(repr=False)
    account_key: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    new_secret_key: bytes | None = field(repr=False)


def draw(
    password: str,
    before: Derivation,
    *,
    origin: str,
    epoch: int,
    account_key: bytes,
    secret_key: bytes | None,
    new_secret_key: bytes | None = None,
) -> Drawn:
    """Draw a salt and derive from it; the cost is today's, and never below the one from before.

    :param epoch: the epoch of the account key that is replaced.
    :param account_key: the one to seal, new or not.
    """
    today = Kdf.RECOMMENDED
    kdf = Kdf(today.alg, max(today.m, before.kdf.m), max(today.t, before.kdf.t), today.p)
    derivation = Derivation(before.account_id, kdf, secrets.token_bytes(SALT_BYTES))
    used = new_secret_key or secret_key
    root = keys.derive_root(password, derivation.salt, kdf, used)
    account_kek = keys.kek(root, before.account_id)
    return Drawn(
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


def change_of(
    drawn: Drawn,
    key_set: KeySet,
    profile: Profile,
    *,
    email: str,
    before: bytes | None = None,
    opened: OpenedKeys | None = None,
    machines: Machines | None = None,
) -> Change:
    """Seal all that lies under the account key, for one try.

    :param profile: the present one, which the new one follows.
    :param before: the account key from before, when it is replaced; then ``opened`` are all keys
        of all vaults, and ``machines`` the sealing keys of all machines.
    """
    account_id = drawn.derivation.account_id
    wrap = keys.wrap_key(drawn.account_key)
    noted = profile.with_pins(drawn.pins)
    identity, wraps = key_set.identity, None
    if opened is not None:
        noted = noted.with_keys_due({vault_id: max(each) for vault_id, each in opened.items()})
        wraps = _wraps(wrap, account_id, opened)
    if before is not None:
        identity = _identity(keys.wrap_key(before), wrap, account_id, key_set)
    sealed = seal_profile(wrap, account_id, noted, profile.revision + 1)
    new = replace(
        key_set,
        epoch=drawn.epoch,
        account_key=drawn.sealed,
        identity=identity,
        profile=SealedProfile(sealed.revision, sealed.sealed),
    )
    return Change(
        email=email,
        account=KnownAccount(drawn.derivation, new, heads=sealed.document["vaults"]),
        pins=drawn.pins,
        secret_key=drawn.new_secret_key,
        wraps=wraps,
        before=None if before is None else sealed_before(drawn.account_key, account_id, before),
        machines={
            machine_id: keys.seal_machine_kek(wrap, account_id, machine_id, kek)
            for machine_id, kek in (machines or {}).items()
        },
    )


def body_of(drawn: Drawn, change: Change) -> Json:
    """Give what the server is sent of a change."""
    key_set = change.account.key_set
    shown = key_set.to_json()
    body: Json = {
        "auth_key": b64(drawn.auth_key),
        "kdf": drawn.derivation.kdf.to_json(),
        "salt": b64(drawn.derivation.salt),
        "account_key": shown["account_key"],
        "profile": shown["profile"],
    }
    if change.wraps is not None:
        body["rewrap"] = {
            "identity": shown["identity"],
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
    """Seal the private identity keys under another key; their public halves stay."""
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
