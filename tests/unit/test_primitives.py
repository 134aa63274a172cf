import subprocess
import sys

import pytest
from argon2 import low_level
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tests.harness import known_answers
from vaultr.client.crypto import primitives
from vaultr.protocol.kdf import Kdf

RFC_ARGON2, *PLAIN_ARGON2 = known_answers.cases("argon2id")


def raw(case, *names):
    return (bytes.fromhex(case[name]) for name in names)


@pytest.mark.parametrize("case", known_answers.cases("aes_gcm"))
def test_aes_gcm_matches_nist_vectors(case):
    key, nonce, aad, sealed = raw(case, "key", "nonce", "aad", "sealed")

    if case["plaintext"] is None:
        with pytest.raises(primitives.NotAuthentic):
            primitives.aes_gcm_open(key, nonce, sealed, aad)
    else:
        plaintext = bytes.fromhex(case["plaintext"])
        assert primitives.aes_gcm_open(key, nonce, sealed, aad) == plaintext
        assert primitives.aes_gcm_seal(key, nonce, plaintext, aad) == sealed


@pytest.mark.parametrize(("key", "nonce"), [(16, 12), (24, 12), (32, 8), (32, 13), (32, 16)])
def test_aes_gcm_rejects_other_sizes_of_key_or_nonce(key, nonce):
    for use in (primitives.aes_gcm_seal, primitives.aes_gcm_open):
        with pytest.raises(ValueError, match="32 bytes and a nonce of 12 bytes"):
            use(bytes(key), bytes(nonce), bytes(32), b"")


@pytest.mark.parametrize("case", known_answers.cases("hkdf"))
def test_hkdf_matches_rfc_5869(case):
    ikm, salt, info, prk, okm = raw(case, "ikm", "salt", "info", "prk", "okm")

    assert primitives.hkdf(ikm, salt, info, case["length"]) == okm
    assert primitives.hkdf_expand(prk, info, case["length"]) == okm


@pytest.mark.parametrize("case", known_answers.cases("x25519"))
def test_x25519_matches_rfc_7748(case):
    scalar, u = raw(case, "scalar", "u")
    is_public = u == b"\x09" + bytes(31) and case["rounds"] == 1
    public = primitives.x25519_public(scalar) if is_public else None

    for _ in range(case["rounds"]):
        key = X25519PrivateKey.from_private_bytes(scalar)
        scalar, u = key.exchange(X25519PublicKey.from_public_bytes(u)), scalar

    assert scalar.hex() == case["out"]
    assert not is_public or public == scalar


@pytest.mark.parametrize("case", PLAIN_ARGON2)
def test_argon2id_matches_the_test_vectors(case):
    password, salt, out = raw(case, "password", "salt", "out")
    kdf = Kdf("argon2id", case["m"], case["t"], case["p"])

    assert primitives.argon2id(password, salt, kdf, len(out)) == out


def test_argon2id_matches_rfc_9106():
    password, salt, secret, ad, out = raw(RFC_ARGON2, "password", "salt", "secret", "ad", "out")
    ffi = low_level.ffi
    answer = ffi.new("uint8_t[]", len(out))
    provided = {
        name: (ffi.new("uint8_t[]", value), len(value))
        for name, value in {"pwd": password, "salt": salt, "secret": secret, "ad": ad}.items()
    }
    context = ffi.new(
        "argon2_context *",
        {
            "version": low_level.ARGON2_VERSION,
            "out": answer,
            "outlen": len(out),
            **{name: buffer for name, (buffer, _) in provided.items()},
            **{f"{name}len": size for name, (_, size) in provided.items()},
            "t_cost": RFC_ARGON2["t"],
            "m_cost": RFC_ARGON2["m"],
            "lanes": RFC_ARGON2["p"],
            "threads": 1,
            "flags": low_level.lib.ARGON2_DEFAULT_FLAGS,
        },
    )

    status = low_level.core(context, low_level.Type.ID.value)

    assert status == 0
    assert bytes(answer) == out


def test_new_key_pairs_are_random_and_match():
    for draw, public_of in (
        (primitives.x25519_new, primitives.x25519_public),
        (primitives.ed25519_new, primitives.ed25519_public),
    ):
        private, public = draw()
        assert draw()[0] != private
        assert public_of(private) == public
        assert (len(private), len(public)) == (32, 32)


STARVED = """
import resource, sys
from vaultr.client.crypto.keys import derive_root
from vaultr.protocol.kdf import Kdf
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
try:
    derive_root("a master password", bytes(range(32)), Kdf("argon2id", 1 << 20, 3, 1), None)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_kdf_cost_beyond_available_memory_is_reported():
    result = subprocess.run(
        [sys.executable, "-c", STARVED], capture_output=True, text=True, check=True
    )

    assert result.stdout.startswith("NotEnoughMemory Deriving the keys needs 1024 MiB")
