"""Idempotency-Key: a repeated POST gets its first response again, and changes nothing.

The transaction of the change writes the key's row first. A parallel request with the same key waits
for that row: if the first transaction commits, the second request gets its response; if it rolls
back, the second request runs instead. If the server dies in between, either both the change and its
response are stored, or neither is.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Response, g, request
from sqlalchemy.orm import Mapped, Session, mapped_column

from vaultr import clock
from vaultr.api.contract import KeyReused
from vaultr.database.base import Base, Utc
from vaultr.database.session import transaction
from vaultr.database.sql import typed
from vaultr.errors import BadRequest, Busy
from vaultr.protocol.encoding import lp
from vaultr.request_context import current_actor

KEPT: Final = timedelta(hours=24)
_MOST_AT_ONCE: Final = 500
_NOT_STORED: Final = "answer_unneeded"
_BODY_DIGEST: Final = "large_body_digest"
_KEY: Final = re.compile(r"[\x20-\x7e]{1,128}")

# SQL for both databases. It returns no row if an unexpired response is stored.
_CLAIM: Final = typed(
    "INSERT INTO idempotency_keys (owner_id, key_hash, request_hash, created_at)"
    " VALUES (:owner, :key, :asked, :now) ON CONFLICT (owner_id, key_hash) DO UPDATE"
    " SET request_hash = :asked, created_at = :now, status = NULL, headers = NULL, body = NULL"
    " WHERE idempotency_keys.created_at <= :over RETURNING 1",
    {"owner": sa.Uuid(), "now": Utc(), "over": Utc()},
)


class StoredResponse(Base):
    """The first response to a request with an Idempotency-Key."""

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True, comment="An account or a machine.")
    key_hash: Mapped[bytes] = mapped_column(primary_key=True, comment="SHA-256 of the key.")
    request_hash: Mapped[bytes] = mapped_column(comment="SHA-256 of method, path, query and body.")
    created_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int | None] = mapped_column(
        sa.Integer, comment="Null only while the request is answered."
    )
    headers: Mapped[str | None] = mapped_column(comment="JSON, a list of pairs.")
    body: Mapped[bytes | None]


def run_once(key: str, respond: Callable[[], Response]) -> Response:
    """Return the stored response for ``key``; if no response is stored, respond and store it.

    Only 2xx responses are stored.

    :raises BadRequest: the key is malformed.
    :raises KeyReused: the key was used for another request.
    """
    if not _KEY.fullmatch(key):
        raise BadRequest("An Idempotency-Key must have 1 to 128 printable ASCII characters.")
    row_key, request_hash = _row_key(key), _request_hash()
    with transaction() as session:
        if not _claimed(session, row_key, request_hash):
            return _replay(session, row_key, request_hash)
        response = respond()
        row = sa.and_(
            *(StoredResponse.__table__.c[name] == value for name, value in row_key.items())
        )
        if 200 <= response.status_code < 300 and not g.get(_NOT_STORED):
            session.execute(sa.update(StoredResponse).where(row).values(_stored_values(response)))
        else:
            session.execute(sa.delete(StoredResponse).where(row))
        return response


def set_body_digest(digest: bytes) -> None:
    """Store the hash of a large body, since the body itself is too large to keep in memory."""
    setattr(g, _BODY_DIGEST, digest)


def skip_storing() -> None:
    """Do not store the response to this request, because the request changes nothing."""
    setattr(g, _NOT_STORED, True)


def delete_responses(session: Session, owner_id: UUID) -> None:
    """Delete the stored responses of an account or machine, in the transaction that deletes it."""
    session.execute(sa.delete(StoredResponse).where(StoredResponse.owner_id == owner_id))


def delete_expired() -> bool:
    """Delete up to 500 expired responses, and return whether there may be more."""
    expired = sa.select(StoredResponse.owner_id, StoredResponse.key_hash).where(
        StoredResponse.created_at <= clock.now() - KEPT
    )
    with transaction() as session:
        deleted = session.execute(
            sa.delete(StoredResponse)
            .where(
                sa.tuple_(StoredResponse.owner_id, StoredResponse.key_hash).in_(
                    expired.limit(_MOST_AT_ONCE)
                )
            )
            .returning(StoredResponse.key_hash)
        )
        return len(deleted.all()) == _MOST_AT_ONCE


def _row_key(key: str) -> dict[str, Any]:
    """Return the primary key of the row. Different accounts or machines never share a row."""
    return {"owner_id": current_actor().id, "key_hash": hashlib.sha256(key.encode()).digest()}


def _request_hash() -> bytes:
    body = g.get(_BODY_DIGEST) or request.get_data()
    parts = request.method, request.path, request.query_string, body
    return hashlib.sha256(lp("vaultr/api/idempotency", *parts)).digest()


def _claimed(session: Session, row_key: dict[str, Any], request_hash: bytes) -> bool:
    now = clock.now()
    values = {
        "owner": row_key["owner_id"],
        "key": row_key["key_hash"],
        "asked": request_hash,
        "now": now,
        "over": now - KEPT,
    }
    return session.execute(_CLAIM, values).one_or_none() is not None


def _stored_values(response: Response) -> dict[str, Any]:
    headers = [pair for pair in response.headers if pair[0] != "Content-Length"]
    return {
        "status": response.status_code,
        "headers": json.dumps(headers),
        "body": response.get_data(),
    }


def _replay(session: Session, row_key: dict[str, Any], request_hash: bytes) -> Response:
    stored = session.get(StoredResponse, tuple(row_key.values()))
    if stored is None or stored.status is None:
        raise Busy  # the row was just deleted, or taken by another request
    if stored.request_hash != request_hash:
        raise KeyReused
    response = Response(stored.body, stored.status)
    response.headers.clear()
    response.headers.extend(json.loads(stored.headers or "[]"))
    response.headers["Idempotency-Replayed"] = "true"
    return response
