"""Paging cursors: the signed position of a list's next page."""

import hashlib
import hmac
import json
import secrets
from typing import Final, cast

from vaultr.app_state import AppSlot
from vaultr.database.session import fact
from vaultr.errors import BadRequest, FieldError
from vaultr.protocol.encoding import b64, unb64

_FACT: Final = "cursor-key"
_KEY: Final = AppSlot[bytes]("api.cursor_key")
_MAC_BYTES = 16


def write(purpose: str, *parts: str | int) -> str:
    """Return the cursor for the position ``parts``.

    :param purpose: list, account and filters; the cursor is valid only for these.
    """
    data = json.dumps(parts, separators=(",", ":")).encode()
    return b64(_mac(purpose, data) + data)


def read(purpose: str, cursor: str | None) -> list[str | int] | None:
    """Return the position in a cursor, or None without a cursor.

    :raises BadRequest: this server did not write the cursor, or wrote it for another list.
    """
    if cursor is None:
        return None
    try:
        signed = unb64(cursor)
    except ValueError:
        signed = b""
    mac, data = signed[:_MAC_BYTES], signed[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(purpose, data)):
        raise BadRequest(
            errors=[FieldError("/query/cursor", "must be the next_cursor of this list")]
        )
    return cast(list[str | int], json.loads(data))


def _mac(purpose: str, data: bytes) -> bytes:
    key = _KEY.find()
    if key is None:
        # Stored in the database, so that every worker can read the cursors of other workers.
        key = _KEY.default(fact(_FACT, lambda: secrets.token_bytes(32)))
    return hmac.digest(key, f"{purpose}\0".encode() + data, hashlib.sha256)[:_MAC_BYTES]
