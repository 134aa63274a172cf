import unicodedata
from uuid import UUID

import pytest

from tests.harness import known_answers
from vaultr.client.crypto import keys
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.errors import SealBroken, StateMismatch, UnsafeParameters, UsageError
from vaultr.protocol.encoding import b64
from vaultr.protocol.kdf import Kdf, canonical, kdf_of

KNOWN = known_answers.load("vp1")["derivations"]
ACCOUNT, OTHER = UUID(hex=KNOWN["account_id"]), UUID(int=7)
VAULT = UUID(bytes=b"V" * 16)
SALT = bytes.fromhex(KNOWN["salt"])
WRAP = keys.wrap_key(bytes(range(32)))


@pytest.fixture
def no_hash(monkeypatch):
    """Fail if a password is used, which must not happen in these tests."""
    monkeypatch.setattr(keys.primitives, "argon2id", lambda *_: pytest.fail("password used"))


@pytest.mark.parametrize("case", KNOWN["cases"])
def test_derivations_match_the_test_vectors(case):
    secret_key = bytes.fromhex(case["secret_key"]) if case["secret_key"] else None

    root = keys.derive_root(KNOWN["password"], SALT, kdf_of(KNOWN["kdf"]), secret_key)

    assert root.hex() == case["root"]
    if "kek" in case:
        assert keys.auth_key(root, ACCOUNT).hex() == case["auth_key"]
        assert keys.kek(root, ACCOUNT).hex() == case["kek"]
    assert canonical(kdf_of(KNOWN["kdf"])) == KNOWN["kdf_text"]


def test_derived_keys_differ_by_account_and_purpose():
    root = bytes(range(32))

    derived = {
        derive(root, account)
        for derive in (keys.auth_key, keys.kek)
        for account in (ACCOUNT, OTHER)
    }

    assert len(derived) == 4


def test_equivalent_unicode_passwords_derive_same_root():
    composed, decomposed = (unicodedata.normalize(form, "Schlüßel Å") for form in ("NFC", "NFD"))

    roots = {
        keys.derive_root(password, SALT, Kdf.RECOMMENDED, None)
        for password in (composed, decomposed)
    }

    assert len(roots) == 1


@pytest.mark.parametrize(
    "kdf",
    [
        Kdf("argon2i", 65_536, 3, 4),
        Kdf("argon2id", 8, 1, 1),
        Kdf("argon2id", 2**42, 3, 4),
        Kdf("argon2id", 65_536, 2**30, 4),
        Kdf("argon2id", 65_536, 3, 255),
    ],
)
def test_unsafe_costs_are_rejected_before_hashing(no_hash, kdf):
    with pytest.raises(UnsafeParameters, match="password was not used"):
        keys.derive_root("correct horse", SALT, kdf, None)


@pytest.mark.parametrize("salt", [b"", bytes(32), bytes(16), bytes(range(64))])
def test_unsafe_salts_are_rejected_before_hashing(no_hash, salt):
    with pytest.raises(UnsafeParameters, match="password was not used"):
        keys.derive_root("correct horse", salt, Kdf.RECOMMENDED, None)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_secret_key_of_wrong_size_is_rejected(no_hash, size):
    with pytest.raises(ValueError, match="32 bytes"):
        keys.derive_root("correct horse", SALT, Kdf.RECOMMENDED, bytes(size))


def test_non_text_password_is_rejected_without_repeating_it(no_hash):
    with pytest.raises(UsageError) as rejected:
        keys.derive_root("hunter2\udc80", SALT, Kdf.RECOMMENDED, None)

    assert "hunter2" not in str(rejected.value)
    assert rejected.value.__cause__ is None
    assert rejected.value.__suppress_context__


def test_account_key_opens_only_with_its_inputs():
    ak, kek = keys.new_account_key(), bytes(range(32))
    sealed = keys.seal_account_key(kek, ACCOUNT, 1, Kdf.RECOMMENDED, SALT, ak)

    assert keys.open_account_key(kek, ACCOUNT, 1, Kdf.RECOMMENDED, SALT, sealed) == ak

    for account, epoch, kdf, salt in (
        (OTHER, 1, Kdf.RECOMMENDED, SALT),
        (ACCOUNT, 2, Kdf.RECOMMENDED, SALT),
        (ACCOUNT, 1, Kdf("argon2id", 65_536, 4, 4), SALT),
        (ACCOUNT, 1, Kdf.RECOMMENDED, SALT[::-1]),
    ):
        with pytest.raises(SealBroken):
            keys.open_account_key(kek, account, epoch, kdf, salt, sealed)


def test_key_of_wrong_size_is_rejected():
    kek = bytes(range(32))
    bound = keys.aad.account_key(ACCOUNT, 1, Kdf.RECOMMENDED, SALT)

    with pytest.raises(SealBroken, match="wrong size"):
        keys.open_account_key(
            kek, ACCOUNT, 1, Kdf.RECOMMENDED, SALT, keys.seal(kek, bound, bytes(31))
        )


def test_identity_key_opens_only_as_its_kind():
    identity = keys.new_identity(WRAP, ACCOUNT)
    x25519, ed25519 = identity["x25519"], identity["ed25519"]

    opened = keys.open_identity(WRAP, ACCOUNT, "x25519", x25519.public, x25519.sealed)

    assert opened == x25519.private
    for kind, public, sealed in (
        ("ed25519", x25519.public, x25519.sealed),
        ("x25519", ed25519.public, x25519.sealed),
        ("ed25519", ed25519.public, x25519.sealed),
    ):
        with pytest.raises(SealBroken):
            keys.open_identity(WRAP, ACCOUNT, kind, public, sealed)


def test_foreign_public_key_half_is_rejected():
    private, _ = keys.primitives.x25519_new()
    _, foreign = keys.primitives.x25519_new()
    sealed = keys.seal(WRAP, keys.aad.identity("x25519", ACCOUNT, foreign), private)

    with pytest.raises(SealBroken, match="its public key"):
        keys.open_identity(WRAP, ACCOUNT, "x25519", foreign, sealed)


def test_vault_keys_open_only_for_their_account_vault_and_generation():
    both = VaultKeys.new()
    sealed = both.wrap(WRAP, ACCOUNT, VAULT, 1)

    assert VaultKeys.unwrap(WRAP, ACCOUNT, VAULT, 1, sealed) == both

    for account, vault, generation in ((OTHER, VAULT, 1), (ACCOUNT, OTHER, 1), (ACCOUNT, VAULT, 2)):
        with pytest.raises(SealBroken):
            VaultKeys.unwrap(WRAP, account, vault, generation, sealed)


def test_second_key_of_known_generation_is_mismatch():
    first, second = VaultKeys.new(), VaultKeys.new()
    wraps = {1: first.wrap(WRAP, ACCOUNT, VAULT, 1), 2: second.wrap(WRAP, ACCOUNT, VAULT, 2)}

    opened = keys.open_wraps(WRAP, ACCOUNT, VAULT, wraps, held={1: first})

    assert opened == {1: first, 2: second}
    with pytest.raises(StateMismatch, match="version 1 differs"):
        keys.open_wraps(WRAP, ACCOUNT, VAULT, wraps, held={1: second})


def test_repr_of_keys_omits_key_material():
    both = VaultKeys(vk=b"v" * 32, lk=b"l" * 32)
    shown = repr(both) + repr(keys.new_identity(WRAP, ACCOUNT))

    assert "vvv" not in shown
    assert "lll" not in shown
    assert "private" not in shown


def test_secret_key_text_parses_to_same_key():
    secret_key = keys.new_secret_key()

    assert keys.secret_key_bytes(f" {keys.secret_key_text(secret_key)}\n") == secret_key


@pytest.mark.parametrize("text", ["", "hunter2", b64(bytes(31)), b64(bytes(33)), "=" * 43])
def test_malformed_secret_key_is_rejected_and_not_printed(text):
    with pytest.raises(ValueError, match="secret key") as rejected:
        keys.secret_key_bytes(text)

    assert text == "" or text not in str(rejected.value)


def test_account_code_is_a_hash_prefix():
    assert keys.account_code(ACCOUNT) == keys.primitives.sha256(ACCOUNT.bytes).hex()[:8]
