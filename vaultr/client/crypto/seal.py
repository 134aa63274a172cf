"""Sealing: AES-256-GCM with a derived key and nonce, a key commitment, and padding."""

import hmac
import secrets
from typing import Final

from vaultr.client.crypto.primitives import (
    KEY_BYTES,
    NONCE_BYTES,
    NotAuthentic,
    aes_gcm_open,
    aes_gcm_seal,
    hkdf,
    sha256,
)
from vaultr.client.errors import SealBroken
from vaultr.protocol.sealed import (
    COMMITMENT_BYTES,
    LENGTH_BYTES,
    OVERHEAD,
    SALT_BYTES,
    SMALLEST_STEP,
    SUITE,
    padded_size,
)

_INFO: Final = b"vaultr/v1/seal\x00"
_COMMITMENT_AT: Final = 1 + SALT_BYTES
_BODY_AT: Final = _COMMITMENT_AT + COMMITMENT_BYTES


def seal(key: bytes, aad: bytes, plaintext: bytes, *, salt: bytes | None = None) -> bytes:
    """Seal ``plaintext`` under ``key``, bound to ``aad``.

    :param salt: 32 bytes, random by default. Pass it only in known-answer tests: the same salt with
        the same key and ``aad`` repeats the nonce.
    """
    if salt is None:
        salt = secrets.token_bytes(SALT_BYTES)
    return seal_padded(key, aad, pad(plaintext), salt=salt)


def seal_padded(key: bytes, aad: bytes, padded: bytes, *, salt: bytes) -> bytes:
    """Seal bytes that are already padded."""
    record_key, nonce, commitment = _record_keys(key, aad, salt)
    body = aes_gcm_seal(record_key, nonce, padded, aad)
    return bytes([SUITE]) + salt + commitment + body


def open_sealed(key: bytes, aad: bytes, sealed: bytes, what: str = "an encrypted value") -> bytes:
    """Open what :func:`seal` returned.

    :param what: the name of the value in the error message.
    :raises SealBroken: the error for every failure: suite, size, key, AAD or content.
    """
    broken = SealBroken(
        f"{what} cannot be opened: it is damaged, moved, or encrypted with another key."
    )
    if len(sealed) < OVERHEAD + SMALLEST_STEP or sealed[0] != SUITE:
        raise broken
    salt = sealed[1:_COMMITMENT_AT]
    record_key, nonce, commitment = _record_keys(key, aad, salt)
    if not hmac.compare_digest(commitment, sealed[_COMMITMENT_AT:_BODY_AT]):
        raise broken
    try:
        return unpad(aes_gcm_open(record_key, nonce, sealed[_BODY_AT:], aad))
    except (NotAuthentic, ValueError):
        raise broken from None


def _record_keys(key: bytes, aad: bytes, salt: bytes) -> tuple[bytes, bytes, bytes]:
    size = KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES
    okm = hkdf(key, salt, _INFO + sha256(aad), size)
    nonce_end = KEY_BYTES + NONCE_BYTES
    return okm[:KEY_BYTES], okm[KEY_BYTES:nonce_end], okm[nonce_end:]


def pad(plaintext: bytes) -> bytes:
    """Prepend the length, and append zeros up to the padding step."""
    framed = len(plaintext).to_bytes(LENGTH_BYTES) + plaintext
    return framed.ljust(padded_size(len(framed)), b"\x00")


def unpad(padded: bytes) -> bytes:
    """Return what :func:`pad` padded.

    :raises ValueError: the size is not on the padding step, or the filler is not zero.
    """
    end = LENGTH_BYTES + int.from_bytes(padded[:LENGTH_BYTES])
    if len(padded) < LENGTH_BYTES or len(padded) != padded_size(end) or any(padded[end:]):
        raise ValueError("not padded")
    return padded[LENGTH_BYTES:end]
