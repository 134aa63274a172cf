"""Open password-protected Bitwarden exports."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from vaultr.client.crypto import primitives
from vaultr.client.imports.problems import reject
from vaultr.protocol.kdf import ALGORITHM, Kdf

# The file sets its own KDF cost, and a hostile file could require years or terabytes.
_ITERATIONS: Final = (5_000, 2_000_000)
_MEMORY_MIB: Final = (16, 1_024)
_PASSES: Final = (1, 16)
_LANES: Final = (1, 16)
_PBKDF2: Final = 0
_ARGON2ID: Final = 1
# Source: Bitwarden security white paper, "EncString" type 2: AES-256-CBC, then HMAC-SHA-256.
_SEALED: Final = re.compile(r"2\.([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)")
_IV_BYTES: Final = 16
_DAMAGED: Final = "This protected export is damaged or not written by Bitwarden: "


class _NotAuthentic(Exception):
    """The key is wrong, or the value was changed."""


def open_document(document: dict[str, Any], ask_password: Callable[[], str]) -> bytes:
    """Return the plain export that ``document`` protects.

    :param ask_password: called once, after the parameters passed their check.
    :raises ImportProblems: a part is missing, a cost is out of bounds, or the password is wrong.
    """
    salt = document.get("salt")
    if not isinstance(salt, str) or not salt.isascii() or not salt:
        reject(f"{_DAMAGED}salt is missing.")
    derive = _derivation(document)
    validation = _parts(document, "encKeyValidation_DO_NOT_EDIT")
    data = _parts(document, "data")
    key = derive(ask_password().encode(), salt.encode())
    encryption, authentication = (primitives.hkdf_expand(key, use, 32) for use in (b"enc", b"mac"))
    try:
        UUID(_open(encryption, authentication, validation).decode())
    except (_NotAuthentic, ValueError):
        reject("The password of this file is wrong. Use the password that you chose at the export.")
    try:
        return _open(encryption, authentication, data)
    except (_NotAuthentic, ValueError):
        reject(f"{_DAMAGED}its data was changed after the export.")


def _derivation(document: dict[str, Any]) -> Callable[[bytes, bytes], bytes]:
    kind = document.get("kdfType")
    if type(kind) is not int or kind not in (_PBKDF2, _ARGON2ID):
        reject(f"{_DAMAGED}kdfType is unknown.")
    if kind == _PBKDF2:
        iterations = _bounded(document, "kdfIterations", _ITERATIONS)
        return lambda password, salt: primitives.pbkdf2_sha256(password, salt, iterations)
    kdf = Kdf(
        alg=ALGORITHM,
        m=_bounded(document, "kdfMemory", _MEMORY_MIB) * 1024,
        t=_bounded(document, "kdfIterations", _PASSES),
        p=_bounded(document, "kdfParallelism", _LANES),
    )
    return lambda password, salt: primitives.argon2id(password, primitives.sha256(salt), kdf)


def _bounded(document: dict[str, Any], name: str, bounds: tuple[int, int]) -> int:
    value = document.get(name)
    least, most = bounds
    if type(value) is not int or not least <= value <= most:
        reject(f"{name} of this file is not between {least} and {most}. Its password was not used.")
    return value


def _parts(document: dict[str, Any], name: str) -> tuple[bytes, bytes, bytes]:
    value = document.get(name)
    found = _SEALED.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        reject(f"{_DAMAGED}{name} is missing or cut off.")
    try:
        iv, ciphertext, mac = (base64.b64decode(part, validate=True) for part in found.groups())
    except binascii.Error:
        reject(f"{_DAMAGED}{name} is not base64.")
    if len(iv) != _IV_BYTES:
        reject(f"{_DAMAGED}{name} has a wrong size.")
    return iv, ciphertext, mac


def _open(encryption: bytes, authentication: bytes, parts: tuple[bytes, bytes, bytes]) -> bytes:
    iv, ciphertext, mac = parts
    if not hmac.compare_digest(primitives.hmac_sha256(authentication, iv + ciphertext), mac):
        raise _NotAuthentic
    return primitives.aes_cbc_open(encryption, iv, ciphertext)
