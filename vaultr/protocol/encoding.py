"""Encode values as bytes for hashing or sealing, and bytes as text for the wire."""

import base64
import binascii
import re
from typing import Final, TypeAlias
from uuid import UUID

Part: TypeAlias = bytes | str | int | UUID

# Canonical text of an id: a lower-case UUID with dashes.
ID_PATTERN: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_INTEGER_LIMIT = 1 << 64


def lp(*parts: Part) -> bytes:
    """Join ``parts`` so that different lists of parts never produce the same bytes.

    A 4-byte big-endian count, then each part as its 4-byte big-endian length and its bytes;
    integers are 8 bytes big-endian, text is UTF-8, a UUID its 16 bytes.

    :raises ValueError: an integer is negative or does not fit 8 bytes.
    """
    pieces = [len(parts).to_bytes(4)]
    for part in parts:
        # The most frequent types first: every hash of every entry uses this.
        if type(part) is bytes:
            data = part
        elif type(part) is str:
            data = part.encode()
        elif type(part) is UUID:
            data = part.bytes
        else:
            data = _bytes_of(part)
        pieces.append(len(data).to_bytes(4))
        pieces.append(data)
    return b"".join(pieces)


def _bytes_of(part: Part) -> bytes:
    match part:
        case bool():
            raise TypeError("an encoding cannot contain a boolean")
        case int():
            if not 0 <= part < _INTEGER_LIMIT:
                raise ValueError("an integer does not fit 8 bytes")
            return part.to_bytes(8)
        case str():
            return part.encode()
        case UUID():
            return part.bytes
        case bytes() | bytearray() | memoryview():
            return bytes(part)
    raise TypeError(f"{type(part).__name__} cannot be part of an encoding")


def b64(data: bytes) -> str:
    """Encode ``data`` as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """Decode canonical base64url without padding.

    :raises ValueError: padding, white space, another alphabet, or spare bits that are not zero.
    """
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("not base64url without padding")
    # The standard alphabet decodes in C; binascii then needs the padding back.
    standard = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    try:
        data = binascii.a2b_base64(standard, strict_mode=True)
    except binascii.Error:
        raise ValueError("not base64url without padding") from None
    if len(text) % 4 and b64(data[-(len(data) % 3) :]) != text[-(len(text) % 4) :]:
        raise ValueError("not the canonical base64url of its bytes")
    return data


def unb64_exactly(text: str, size: int) -> bytes:
    """Decode base64url of exactly ``size`` bytes.

    :raises ValueError: see :func:`unb64`, or another size.
    """
    data = unb64(text)
    if len(data) != size:
        raise ValueError(f"not {size} bytes")
    return data
