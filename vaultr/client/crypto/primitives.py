"""The ciphers, hashes and curves of suite 1. Only this module imports their libraries."""

import base64
import hashlib
import hmac
import struct
from collections.abc import Callable, Iterator
from typing import Final

from argon2 import low_level
from argon2.exceptions import HashingError
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.padding import PKCS7

from vaultr.client.errors import VaultrError
from vaultr.protocol.kdf import Kdf

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
ARGON2_VERSION: Final = 0x13
_AES_BLOCK: Final = 16
_ROUNDS_AT_ONCE: Final = 1 << 16
_WORD: Final = 0xFFFFFFFF
# The columns, then the rows, of Salsa20's 4 by 4 words.
_SALSA20_QUARTERS: Final = (
    *((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)),
    *((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)),
)


class NotEnoughMemory(VaultrError):
    """The derivation needs more memory than this computer has available."""


class NotAuthentic(Exception):
    """The ciphertext, nonce, key or associated data differs from when it was sealed."""


def argon2id(password: bytes, salt: bytes, kdf: Kdf, length: int = KEY_BYTES) -> bytes:
    """Derive ``length`` bytes by Argon2id, which needs ``kdf.m`` KiB of memory.

    Does not check bounds: :func:`vaultr.client.crypto.keys.derive_root` does.

    :raises NotEnoughMemory: there is not enough memory, or not ``kdf.p`` threads.

    Source: RFC 9106, version 0x13.
    """
    try:
        return low_level.hash_secret_raw(
            password,
            salt,
            time_cost=kdf.t,
            memory_cost=kdf.m,
            parallelism=kdf.p,
            hash_len=length,
            type=low_level.Type.ID,
            version=ARGON2_VERSION,
        )
    except HashingError:
        raise NotEnoughMemory(
            f"Deriving the keys needs {kdf.m // 1024} MiB of memory and {kdf.p} threads, which are "
            "not "
            "available. Close other programs, then try again."
        ) from None


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Extract and expand by HKDF-SHA-256. Source: RFC 5869."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(ikm)


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    """Expand an already uniform key by HKDF-SHA-256. Source: RFC 5869, section 2.3."""
    return HKDFExpand(algorithm=SHA256(), length=length, info=info).derive(prk)


def aes_gcm_seal(key: bytes, nonce: bytes, data: bytes, aad: bytes) -> bytes:
    """Encrypt by AES-256-GCM; the tag is the last 16 bytes. Source: NIST SP 800-38D."""
    _check_sizes(key, nonce)
    return AESGCM(key).encrypt(nonce, data, aad)


def aes_gcm_open(key: bytes, nonce: bytes, data: bytes, aad: bytes) -> bytes:
    """Decrypt what :func:`aes_gcm_seal` returned.

    :raises NotAuthentic: one of the four arguments differs.
    """
    _check_sizes(key, nonce)
    try:
        return AESGCM(key).decrypt(nonce, data, aad)
    except InvalidTag:
        raise NotAuthentic("not authentic") from None


def _check_sizes(key: bytes, nonce: bytes) -> None:
    # The library also accepts keys of 16 and 24 bytes, and nonces of 8 to 128 bytes.
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError(
            f"AES-256-GCM needs a key of {KEY_BYTES} bytes and a nonce of {NONCE_BYTES} bytes"
        )


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """Authenticate ``data`` by HMAC-SHA-256. Source: RFC 2104."""
    return hmac.digest(key, data, "sha256")


def sha256(data: bytes) -> bytes:
    """Hash ``data`` by SHA-256. Source: FIPS 180-4."""
    return hashlib.sha256(data).digest()


def x25519_new() -> tuple[bytes, bytes]:
    """Generate a key pair for key agreement: private, then public half. Source: RFC 7748."""
    key = X25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()


def x25519_public(private: bytes) -> bytes:
    """Compute the public half of an X25519 key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Check a signature. Source: RFC 8032."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def ed25519_new() -> tuple[bytes, bytes]:
    """Generate a key pair for signatures: private, then public half. Source: RFC 8032."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()


def ed25519_public(private: bytes) -> bytes:
    """Compute the public half of an Ed25519 key."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def pbkdf2_sha256(password: bytes, salt: bytes, iterations: int, length: int = KEY_BYTES) -> bytes:
    """Derive by PBKDF2-HMAC-SHA-256, for other managers' files only. Source: RFC 8018."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, iterations, length)


def aes_cbc_open(key: bytes, iv: bytes, data: bytes) -> bytes:
    """Decrypt AES-256-CBC with PKCS#7 padding, for other managers' files only.

    Does not authenticate: the caller checks the MAC over ``iv`` and ``data`` first.

    :raises ValueError: the size or the padding is wrong.

    Source: NIST SP 800-38A section 6.2; RFC 5652 section 6.3.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"AES-256-CBC needs a key of {KEY_BYTES} bytes")
    decryptor = Cipher(AES(key), CBC(iv)).decryptor()
    padded = decryptor.update(data) + decryptor.finalize()
    unpadder = PKCS7(AES.block_size).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def argon2(
    password: bytes, salt: bytes, *, m: int, t: int, p: int, version: int, data_dependent: bool
) -> bytes:
    """Derive a key by Argon2d or Argon2id with the parameters of another manager's file.

    The caller checks their bounds. ``m`` is in KiB.

    :raises NotEnoughMemory: the memory is not available.
    """
    try:
        return low_level.hash_secret_raw(
            password,
            salt,
            time_cost=t,
            memory_cost=m,
            parallelism=p,
            hash_len=KEY_BYTES,
            type=low_level.Type.D if data_dependent else low_level.Type.ID,
            version=version,
        )
    except HashingError:
        raise NotEnoughMemory(
            f"Opening this file needs {m // 1024} MiB of free memory, which this computer does"
            " not have now. Close other programs, then try again."
        ) from None


def aes_rounds(key: bytes, data: bytes, rounds: int) -> bytes:
    """Encrypt each 16-byte block of ``data`` ``rounds`` times by AES-256, as KeePass does.

    This equals CBC over zeros with the block as IV: each output is the next input.
    """
    zeros = bytes(_AES_BLOCK * _ROUNDS_AT_ONCE)
    result = b""
    for start in range(0, len(data), _AES_BLOCK):
        block, left = data[start : start + _AES_BLOCK], rounds
        encryptor = Cipher(AES(key), CBC(block)).encryptor()
        while left:
            now = min(left, _ROUNDS_AT_ONCE)
            block = encryptor.update(zeros[: now * _AES_BLOCK])[-_AES_BLOCK:]
            left -= now
        result += block
    return result


def chacha20(key: bytes, nonce: bytes) -> Callable[[bytes], bytes]:
    """Return a stream cipher, which encrypts or decrypts chunks. Source: RFC 8439, counter 0."""
    return Cipher(ChaCha20(key, bytes(4) + nonce), mode=None).encryptor().update


def salsa20(key: bytes, nonce: bytes) -> Callable[[bytes], bytes]:
    """Return a function that encrypts or decrypts a stream in chunks, for old KeePass files only.

    Source: D. J. Bernstein, "Salsa20 specification"; none of Vaultr's libraries implements it.
    """
    left = b""
    blocks = _salsa20_blocks(key, nonce)

    def update(data: bytes) -> bytes:
        nonlocal left
        while len(left) < len(data):
            left += next(blocks)
        mask, left = left[: len(data)], left[len(data) :]
        return bytes(a ^ b for a, b in zip(data, mask, strict=True))

    return update


def _salsa20_blocks(key: bytes, nonce: bytes) -> Iterator[bytes]:
    sigma = struct.unpack("<4I", b"expand 32-byte k")
    k, n = struct.unpack("<8I", key), struct.unpack("<2I", nonce)
    counter = 0
    while True:
        low, high = counter & _WORD, counter >> 32
        start = [sigma[0], *k[:4], sigma[1], *n, low, high, sigma[2], *k[4:], sigma[3]]
        state = list(start)
        for _ in range(10):
            for a, b, c, d in _SALSA20_QUARTERS:
                for target, first, second, bits in ((b, a, d, 7), (c, b, a, 9),
                                                    (d, c, b, 13), (a, d, c, 18)):  # fmt: skip
                    total = (state[first] + state[second]) & _WORD
                    state[target] ^= ((total << bits) & _WORD) | (total >> (32 - bits))
        yield struct.pack("<16I", *((x + y) & _WORD for x, y in zip(state, start, strict=True)))
        counter += 1


class SshKey:
    """An SSH private key, which signs but is never returned.

    :ivar public: the public key in SSH's wire format.
    """

    def __init__(self, key: Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        self._key = key
        openssh = serialization.Encoding.OpenSSH
        line = key.public_key().public_bytes(openssh, serialization.PublicFormat.OpenSSH)
        self.public = base64.b64decode(line.split()[1])
        self.line = line.decode()

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint, as ssh-keygen -l shows it."""
        return "SHA256:" + base64.b64encode(sha256(self.public)).decode().rstrip("=")

    def sign(self, data: bytes, flags: int) -> tuple[str, bytes]:
        """Return the name of the algorithm, and the signature in SSH's wire format.

        :param flags: 2 selects SHA-256 and 4 SHA-512, with RSA.
        :raises ValueError: RSA with SHA-1 was requested.

        Source: RFC 8709 (Ed25519), RFC 8332 (RSA), RFC 5656 (ECDSA).
        """
        key = self._key
        if isinstance(key, Ed25519PrivateKey):
            return "ssh-ed25519", key.sign(data)
        if isinstance(key, rsa.RSAPrivateKey):
            if not flags & 6:
                raise ValueError("RSA with SHA-1 is not secure")
            name, digest = ("rsa-sha2-512", SHA512()) if flags & 4 else ("rsa-sha2-256", SHA256())
            return name, key.sign(data, padding.PKCS1v15(), digest)
        name, curve_digest = _CURVES[key.curve.name]
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(curve_digest)))
        return f"ecdsa-sha2-{name}", _mpint(r) + _mpint(s)


_CURVES: Final = {
    "secp256r1": ("nistp256", SHA256()),
    "secp384r1": ("nistp384", SHA384()),
    "secp521r1": ("nistp521", SHA512()),
}


def _mpint(number: int) -> bytes:
    data = number.to_bytes(number.bit_length() // 8 + 1)
    return len(data).to_bytes(4) + data


def ssh_key(text: str, passphrase: str | None) -> SshKey:
    """Read a private key in OpenSSH's format or in PEM.

    :raises ValueError: it is not a private key, it has a type that SSH agents do not use, or the
        passphrase is missing or wrong. The message says which, without any part of the key.
    """
    data, secret = text.strip().encode() + b"\n", passphrase.encode() if passphrase else None
    is_openssh = b"BEGIN OPENSSH" in data
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        key = load(data, secret)
    except TypeError:
        raise ValueError("its passphrase is missing, or it has none") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("its private key cannot be read, or the passphrase is wrong") from None
    if not isinstance(key, Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("it is neither Ed25519, RSA nor ECDSA")
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in _CURVES:
        raise ValueError("SSH does not use its curve")
    return SshKey(key)


def ssh_key_new() -> tuple[str, SshKey]:
    """Generate an Ed25519 key; return its private half in OpenSSH's format, and the key."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return text.decode(), SshKey(key)
