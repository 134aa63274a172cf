"""Derive the key of a KeePass database from its password and key file, within cost limits."""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Callable, Mapping
from typing import Final
from xml.etree.ElementTree import Element  # nosec B405 - only its type

from vaultr.client.crypto import primitives
from vaultr.client.imports import xml_document
from vaultr.client.imports.problems import ImportProblems, reject
from vaultr.protocol.kdf import MOST

Value = bytes | int

_AES_KDF: Final = (
    bytes.fromhex("c9d9f39a628a4460bf740d08c18a4fea"),
    bytes.fromhex("7c02bb8279a74ac0927d114a00648238"),
)
_ARGON2D: Final = bytes.fromhex("ef636ddf8c29444b91f7a9a403e30a0c")
_ARGON2ID: Final = bytes.fromhex("9e298b1956db4773b23dfc3ec6f0a1e6")
# As long as the most expensive derivation of this client takes on the same machine, about 10 s.
_ROUNDS_MOST: Final = 400_000_000
_ARGON2_VERSIONS: Final = (0x10, 0x13)
_INTEGERS: Final = {0x04: "<I", 0x05: "<Q", 0x0C: "<i", 0x0D: "<q"}
_BYTES: Final = (0x18, 0x42)
_KEY_BYTES: Final = 32
_HEX_KEY: Final = re.compile(rb"[0-9A-Fa-f]{64}")
_COSTLY: Final = (
    "This KeePass database needs more time or memory to open than Vaultr allows. Lower both in"
    " KeePass (Database settings, Security, Encryption settings); its password was not used."
)


def composite(password: str, key_file: bytes | None) -> bytes:
    """Return the composite key; with a key file, an empty password means no password."""
    parts = b""
    if password or key_file is None:
        parts += hashlib.sha256(password.encode()).digest()
    if key_file is not None:
        parts += _key_of(key_file)
    return hashlib.sha256(parts).digest()


def _key_of(data: bytes) -> bytes:
    """Return the key in a key file: XML of two versions, 32 bytes, 64 hex digits, or any file."""
    if b"<KeyFile" in data[:1024]:
        try:
            return _xml_key(xml_document.parse(data))
        except (ImportProblems, binascii.Error, ValueError):
            reject("This key file is damaged. Vaultr reads key files of KeePass 2 and KeePassXC.")
    if len(data) == _KEY_BYTES:
        return data
    if _HEX_KEY.fullmatch(data):
        return bytes.fromhex(data.decode())
    return hashlib.sha256(data).digest()


def _xml_key(root: Element) -> bytes:
    text = "".join((root.findtext("Key/Data") or "").split())
    if (root.findtext("Meta/Version") or "").startswith("2"):
        key = bytes.fromhex(text)
        element = root.find("Key/Data")
        claimed = "" if element is None else element.get("Hash", "")
        if claimed and hashlib.sha256(key).digest()[:4] != bytes.fromhex(claimed):
            raise ValueError("the hash of the key file differs")
        return key
    return base64.b64decode(text, validate=True)


def parameters(data: bytes) -> dict[str, Value]:
    """Read the variant dictionary with the parameters of the derivation.

    :raises struct.error: it is truncated.
    :raises ValueError: it has no end, or a name that is not UTF-8.
    """
    found: dict[str, Value] = {}
    position = 2
    while (mark := data[position : position + 1]) != b"\0":
        if not mark:
            raise ValueError("the parameters have no end")
        kind, size = struct.unpack_from("<BI", data, position)
        name = data[position + 5 : position + 5 + size].decode()
        position += 5 + size
        (size,) = struct.unpack_from("<I", data, position)
        value = data[position + 4 : position + 4 + size]
        position += 4 + size
        if kind in _INTEGERS:
            (found[name],) = struct.unpack(_INTEGERS[kind], value)
        elif kind in _BYTES:
            found[name] = value
    return found


def derivation(values: Mapping[str, Value]) -> Callable[[bytes], bytes]:
    """Return the derivation of a database of version 4.

    :raises ImportProblems: it is unknown, or exceeds the client's cost limit.
    """
    kind = values.get("$UUID")
    if kind in _AES_KDF:
        return aes_derivation(_bytes(values, "S"), _number(values, "R"))
    if kind not in (_ARGON2D, _ARGON2ID):
        reject("This KeePass database derives its key in a way that Vaultr does not support.")
    memory, passes, lanes = (_number(values, name) for name in ("M", "I", "P"))
    kib, version = memory // 1024, _number(values, "V")
    if version not in _ARGON2_VERSIONS or not (8 * lanes <= kib and passes and lanes):
        reject("This KeePass database has invalid key derivation parameters.")
    if kib > MOST.m or lanes > MOST.p or kib * passes > MOST.m * MOST.t:
        reject(_COSTLY)
    salt = _bytes(values, "S")
    if not 8 <= len(salt) <= 64:
        reject("This KeePass database has invalid key derivation parameters.")
    return lambda key: primitives.argon2(
        key, salt, m=kib, t=passes, p=lanes, version=version, data_dependent=kind == _ARGON2D
    )


def aes_derivation(seed: bytes, rounds: int) -> Callable[[bytes], bytes]:
    """Return the derivation of version 3.1, which repeats AES.

    :raises ImportProblems: it exceeds the client's cost limit.
    """
    if len(seed) != _KEY_BYTES:
        reject("This KeePass database has invalid key derivation parameters.")
    if rounds > _ROUNDS_MOST:
        reject(_COSTLY)
    return lambda key: hashlib.sha256(primitives.aes_rounds(seed, key, rounds)).digest()


def _number(values: Mapping[str, Value], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) and value >= 0 else 0


def _bytes(values: Mapping[str, Value], name: str) -> bytes:
    value = values.get(name)
    return value if isinstance(value, bytes) else b""
