"""Open a KeePass database (KDBX 3.1 and 4): check it, decrypt it, and return its XML."""

import hashlib
import hmac
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from vaultr.client.crypto import primitives
from vaultr.client.imports import kdbx_key
from vaultr.client.imports.archives import UNPACKED_BYTES, gunzip
from vaultr.client.imports.file_format import KDBX
from vaultr.client.imports.problems import reject

# Source: "KDBX file format specification", keepass.info/help/kb/kdbx.html.
_SECOND_SIGNATURE: Final = bytes.fromhex("67fb4bb5")
_OLD_SIGNATURE: Final = bytes.fromhex("65fb4bb5")
_AES: Final = bytes.fromhex("31c1f2e6bf714350be5805216afc5aff")
_CHACHA20: Final = bytes.fromhex("d6038a2b8b6f4cb5a524339a31dbb59a")
_TWOFISH: Final = bytes.fromhex("ad68f29f576f4bb9a36ad47af965346c")
_END, _CIPHER, _COMPRESSION, _SEED, _IV = 0, 2, 3, 4, 7
_TRANSFORM_SEED, _ROUNDS, _STREAM_KEY, _START_BYTES, _STREAM_ID, _KDF = 5, 6, 8, 9, 10, 11
_HEADER_HMAC: Final = (1 << 64) - 1
_SALSA20, _CHACHA_STREAM = 2, 3
_SEED_BYTES: Final = 32
_HASH_BYTES: Final = 32
DAMAGED: Final = "This KeePass database is damaged or was cut off. Copy it again."
_WRONG: Final = "The password or the key file of this KeePass database is wrong"

Keystream = Callable[[bytes], bytes]


class _CutOff(Exception):
    """The data ends too early for the format."""


@dataclass(frozen=True, slots=True)
class Database:
    """An opened database: its XML, and the cipher for the protected values in it.

    :ivar header_hash: the SHA-256 of a header that only the XML authenticates, by repeating it;
        None if the database has already authenticated the header.
    """

    xml: bytes
    unprotect: Keystream
    header_hash: bytes | None


def open_database(data: bytes, ask_password: Callable[[], str], key_file: bytes | None) -> Database:
    """Decrypt a database.

    :param ask_password: called once, after the KDF parameters passed their check.
    :raises ImportProblems: it is damaged, has an unknown version or cipher, or is too costly to
        open, or the password or key file is wrong.
    """
    try:
        return _open(data, ask_password, key_file)
    except (_CutOff, struct.error, ValueError):
        return reject(DAMAGED)


def _open(data: bytes, ask_password: Callable[[], str], key_file: bytes | None) -> Database:
    major = _version(data)
    fields, body = _header(data, wide=major >= 4)
    if len(fields.get(_SEED, b"")) != _SEED_BYTES:
        reject(DAMAGED)
    cipher = _cipher(fields)
    derive = _derivation(fields, major)
    composite = kdbx_key.composite(ask_password(), key_file)
    transformed = derive(composite)
    hint = "." if key_file is not None else ", or it needs one (--key-file)."
    if major >= 4:
        plain = _open_4(data, body, fields, transformed, cipher, hint)
        stream_id, stream_key, plain = _inner_header(_unpacked(fields, plain))
        header_hash = None
    else:
        plain = _unpacked(fields, _open_3(data[body:], fields, transformed, cipher, hint))
        header_hash = hashlib.sha256(data[:body]).digest()
        stream_id = int.from_bytes(fields.get(_STREAM_ID, b""), "little")
        stream_key = fields.get(_STREAM_KEY, b"")
    return Database(plain, _keystream(stream_id, stream_key), header_hash)


def _version(data: bytes) -> int:
    if not data.startswith(KDBX) or len(data) < 12:
        reject("This is not a KeePass database.")
    if data[4:8] == _OLD_SIGNATURE:
        reject("This is a database of KeePass 1 (.kdb). Open it in KeePassXC and save it as .kdbx.")
    minor, major = struct.unpack_from("<HH", data, 8)
    if data[4:8] != _SECOND_SIGNATURE or major not in (3, 4):
        reject(f"This KeePass database has version {major}.{minor}; Vaultr reads 3.1 and 4.")
    return int(major)


def _header(data: bytes, *, wide: bool) -> tuple[dict[int, bytes], int]:
    fields: dict[int, bytes] = {}
    for kind, value, end in _fields(data, 12, wide=wide):
        if kind == _END:
            return fields, end
        fields[kind] = value
    raise _CutOff


def _fields(data: bytes, position: int, *, wide: bool) -> Iterator[tuple[int, bytes, int]]:
    form = "<BI" if wide else "<BH"
    while True:
        kind, size = struct.unpack_from(form, data, position)
        position += struct.calcsize(form)
        yield kind, _cut(data, position, size), position + size
        position += size


def _cut(data: bytes, start: int, size: int) -> bytes:
    if start + size > len(data):
        raise _CutOff
    return data[start : start + size]


def _cipher(fields: dict[int, bytes]) -> Callable[[bytes, bytes], bytes]:
    kind, iv = fields.get(_CIPHER, b""), fields.get(_IV, b"")
    if kind == _TWOFISH:
        reject(
            "This KeePass database is encrypted with Twofish. Change it to AES-256 or ChaCha20 in"
            " KeePass (Database settings, Security) and save it."
        )
    if kind == _AES and len(iv) == 16:
        return lambda key, body: primitives.aes_cbc_open(key, iv, body)
    if kind == _CHACHA20 and len(iv) == 12:
        return lambda key, body: primitives.chacha20(key, iv)(body)
    return reject("This KeePass database uses a cipher that Vaultr does not support.")


def _derivation(fields: dict[int, bytes], major: int) -> Callable[[bytes], bytes]:
    if major >= 4:
        return kdbx_key.derivation(kdbx_key.parameters(fields.get(_KDF, b"")))
    rounds = int.from_bytes(fields.get(_ROUNDS, b""), "little")
    return kdbx_key.aes_derivation(fields.get(_TRANSFORM_SEED, b""), rounds)


def _open_4(
    data: bytes,
    body: int,
    fields: dict[int, bytes],
    transformed: bytes,
    cipher: Callable[[bytes, bytes], bytes],
    hint: str,
) -> bytes:
    header, seed = data[:body], fields[_SEED]
    if hashlib.sha256(header).digest() != _cut(data, body, _HASH_BYTES):
        reject(DAMAGED)
    base = hashlib.sha512(seed + transformed + b"\x01").digest()
    mac = hmac.digest(_block_key(base, _HEADER_HMAC), header, "sha256")
    position = body + _HASH_BYTES
    if not hmac.compare_digest(mac, _cut(data, position, _HASH_BYTES)):
        reject(_WRONG + hint)
    sealed = bytearray()
    for number, (mac, size, block) in enumerate(_hmac_blocks(data, position + _HASH_BYTES)):
        bound = struct.pack("<QI", number, size) + block
        if not hmac.compare_digest(mac, hmac.digest(_block_key(base, number), bound, "sha256")):
            reject(DAMAGED)
        sealed += block
    return cipher(hashlib.sha256(seed + transformed).digest(), bytes(sealed))


def _block_key(base: bytes, number: int) -> bytes:
    return hashlib.sha512(struct.pack("<Q", number) + base).digest()


def _hmac_blocks(data: bytes, position: int) -> Iterator[tuple[bytes, int, bytes]]:
    size = -1
    while size:
        mac = _cut(data, position, _HASH_BYTES)
        (size,) = struct.unpack_from("<I", data, position + _HASH_BYTES)
        position += _HASH_BYTES + 4
        yield mac, size, _cut(data, position, size)
        position += size


def _open_3(
    body: bytes,
    fields: dict[int, bytes],
    transformed: bytes,
    cipher: Callable[[bytes, bytes], bytes],
    hint: str,
) -> bytes:
    start = fields.get(_START_BYTES, b"")
    if len(start) != _SEED_BYTES or not body or len(body) % 16:
        raise _CutOff
    try:
        plain = cipher(hashlib.sha256(fields[_SEED] + transformed).digest(), body)
    except ValueError:  # the padding, which is nearly always invalid with the wrong key
        reject(_WRONG + hint)
    if not hmac.compare_digest(plain[:_SEED_BYTES], start):
        reject(_WRONG + hint)
    found, position = bytearray(), _SEED_BYTES
    while True:
        digest = _cut(plain, position + 4, _HASH_BYTES)
        (size,) = struct.unpack_from("<I", plain, position + 4 + _HASH_BYTES)
        position += 8 + _HASH_BYTES
        if not size:
            return bytes(found)
        block = _cut(plain, position, size)
        if hashlib.sha256(block).digest() != digest:
            reject(DAMAGED)
        found += block
        position += size


def _unpacked(fields: dict[int, bytes], plain: bytes) -> bytes:
    if int.from_bytes(fields.get(_COMPRESSION, b""), "little"):
        return gunzip(plain)
    if len(plain) > UNPACKED_BYTES:
        reject(DAMAGED)
    return plain


def _inner_header(plain: bytes) -> tuple[int, bytes, bytes]:
    stream_id, stream_key = 0, b""
    for kind, value, end in _fields(plain, 0, wide=True):
        if kind == 0:
            return stream_id, stream_key, plain[end:]
        if kind == 1:
            stream_id = int.from_bytes(value, "little")
        elif kind == 2:
            stream_key = value
    raise _CutOff


def _keystream(stream_id: int, key: bytes) -> Keystream:
    if stream_id == _CHACHA_STREAM:
        digest = hashlib.sha512(key).digest()
        return primitives.chacha20(digest[:32], digest[32:44])
    if stream_id == _SALSA20:
        return primitives.salsa20(hashlib.sha256(key).digest(), bytes.fromhex("e830094b97205d2a"))
    if stream_id == 0:
        return lambda data: data
    return reject(
        "This KeePass database protects its values with a cipher that Vaultr does not support."
    )
