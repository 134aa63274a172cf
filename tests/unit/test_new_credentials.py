"""New credentials: never cheaper, never with the same salt, and everything is resealed."""

import uuid

import pytest

from vaultr.client.account import new_credentials
from vaultr.client.crypto import keys, primitives
from vaultr.client.log.entries import Waypoint
from vaultr.client.storage.key_set import KeySet, SealedProfile
from vaultr.client.storage.pins import Derivation, Pins
from vaultr.client.storage.profile import new_profile, open_profile
from vaultr.protocol.kdf import Kdf

ACCOUNT, VAULT = uuid.UUID(int=1), uuid.UUID(int=2)
ORIGIN = "https://vault.example"
OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Skip key derivation, which is not tested here."""
    monkeypatch.setattr(
        primitives, "argon2id", lambda password, salt, kdf, length=32: primitives.sha256(password)
    )


def drawn(kdf=Kdf.RECOMMENDED, **more):
    before = Derivation(ACCOUNT, kdf, bytes(range(32)))
    text = {"origin": ORIGIN, "epoch": 4, "account_key": NEW, "secret_key": None} | more
    return new_credentials.generate("a new master password", before, **text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Kdf("argon2id", 65_536, 3, 4), Kdf("argon2id", 65_536, 3, 4)),
        (Kdf("argon2id", 262_144, 3, 1), Kdf("argon2id", 262_144, 3, 4)),
        (Kdf("argon2id", 65_536, 9, 16), Kdf("argon2id", 65_536, 9, 4)),
    ],
)
def test_new_kdf_never_lowers_memory_or_passes(before, after):
    assert drawn(before).derivation.kdf == after


def test_new_credentials_update_salt_epoch_and_pins():
    one, two = drawn(), drawn(secret_key=b"s" * 32)

    assert one.epoch == 5
    assert one.derivation.salt != two.derivation.salt
    assert one.pins == Pins.of(one.derivation, origin=ORIGIN, secret_key=False)
    assert two.pins.secret_key


def test_rewrap_seals_everything_under_the_next_account_key():
    old = keys.wrap_key(OLD)
    identity = keys.new_identity(old, ACCOUNT)
    key_set = KeySet(
        epoch=4,
        account_key=b"sealed",
        identity={kind: (key.public, key.sealed) for kind, key in identity.items()},
        profile=SealedProfile(8, b"sealed"),
    )
    new = drawn()
    profile = new_profile(new.pins).with_head(VAULT, Waypoint(3, bytes(32), 1))
    vault_keys, machine = keys.VaultKeys.new(), uuid.UUID(int=9)

    change = new_credentials.seal_change(
        new,
        key_set,
        profile,
        email="ann@example.org",
        before=OLD,
        opened={VAULT: {1: vault_keys}},
        machines={machine: b"m" * 32},
    )

    wrap, stored = keys.wrap_key(NEW), change.account.key_set
    opened = keys.VaultKeys.unwrap(wrap, ACCOUNT, VAULT, 1, change.wraps[VAULT][1])
    assert opened == vault_keys
    for kind, (public, sealed) in stored.identity.items():
        assert public == identity[kind].public
        assert keys.open_identity(wrap, ACCOUNT, kind, public, sealed) == identity[kind].private
    noted = open_profile(wrap, ACCOUNT, stored.profile.revision, stored.profile.sealed)
    assert noted.pins == new.pins
    assert noted.keys_due(VAULT, 1)
    assert keys.open_machine_kek(wrap, ACCOUNT, machine, change.machines[machine]) == b"m" * 32
    assert new_credentials.body_of(new, change)["rewrap"]["vaults"][0]["vault_id"] == str(VAULT)


def test_unchanged_account_key_rewraps_nothing():
    identity = {"x25519": (b"p" * 32, b"x"), "ed25519": (b"q" * 32, b"e")}
    key_set = KeySet(4, b"sealed", identity, SealedProfile(8, b"sealed"))
    new = drawn(account_key=OLD)

    change = new_credentials.seal_change(
        new, key_set, new_profile(new.pins), email="ann@example.org"
    )

    assert change.account.key_set.identity == identity
    assert change.wraps is None
    assert "rewrap" not in new_credentials.body_of(new, change)
