"""Idempotency-Key: a POST that is sent again gets its first answer again, and changes nothing.

The key's row is the first thing that the transaction of the change writes. So a twin that comes
meanwhile waits on it: if the first commits, the twin replays its answer; if the first is undone,
the twin takes its place. A server that dies in between leaves both or neither.
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
_UNNEEDED: Final = "answer_unneeded"
_KEY: Final = re.compile(r"[\x20-\x7e]{1,128}")

# In words of both databases. Nothing comes back where an answer that still counts stands already.
_CLAIM: Final = typed(
    "INSERT INTO idempotency_keys (owner_id, key_hash, request_hash, created_at)"
    " VALUES (:owner, :key, :asked, :now) ON CONFLICT (owner_id, key_hash) DO UPDATE"
    " SET request_hash = :asked, created_at = :now, status = NULL, headers = NULL, body = NULL"
    " WHERE idempotency_keys.created_at <= :over RETURNING 1",
    {"owner": sa.Uuid(), "now": Utc(), "over": Utc()},
)


class KeptAnswer(Base):
    """The first answer to a request that came with a key."""

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
    """Return the first response to this request with ``key``, or respond; only 2xx are stored.

    :raises BadRequest: no key is like that.
    :raises KeyReused: the key came with another request.
    """
    if not _KEY.fullmatch(key):
        raise BadRequest("An Idempotency-Key has 1 to 128 characters of ASCII.")
    whose, asked = _names(key), _request_hash()
    with transaction() as session:
        if not _claimed(session, whose, asked):
            return _again(session, whose, asked)
        response = respond()
        row = sa.and_(*(KeptAnswer.__table__.c[name] == value for name, value in whose.items()))
        if 200 <= response.status_code < 300 and not g.get(_UNNEEDED):
            session.execute(sa.update(KeptAnswer).where(row).values(_kept(response)))
        else:
            session.execute(sa.delete(KeptAnswer).where(row))
        return response


def changes_nothing() -> None:
    """Say that this request only looks: its answer need not be kept, however large it is."""
    setattr(g, _UNNEEDED, True)


def delete_responses(session: Session, owner_id: UUID) -> None:
    """Delete the stored responses of an account or a machine, in the transaction that ends it."""
    session.execute(sa.delete(KeptAnswer).where(KeptAnswer.owner_id == owner_id))


def remove_old() -> bool:
    """Remove up to 500 answers that are kept no longer; tell whether more may be left."""
    over = sa.select(KeptAnswer.owner_id, KeptAnswer.key_hash).where(
        KeptAnswer.created_at <= clock.now() - KEPT
    )
    with transaction() as session:
        gone = session.execute(
            sa.delete(KeptAnswer)
            .where(
                sa.tuple_(KeptAnswer.owner_id, KeptAnswer.key_hash).in_(over.limit(_MOST_AT_ONCE))
            )
            .returning(KeptAnswer.key_hash)
        )
        return len(gone.all()) == _MOST_AT_ONCE


def _names(key: str) -> dict[str, Any]:
    """Name the row: a key means nothing beyond the account or machine that it came from."""
    actor = current_actor()
    owner = actor.account_id if actor.kind == "account" else actor.session_id
    return {"owner_id": owner, "key_hash": hashlib.sha256(key.encode()).digest()}


def _request_hash() -> bytes:
    parts = request.method, request.path, request.query_string, request.get_data()
    return hashlib.sha256(lp("vaultr/api/idempotency", *parts)).digest()


def _claimed(session: Session, whose: dict[str, Any], asked: bytes) -> bool:
    now = clock.now()
    values = {
        "owner": whose["owner_id"],
        "key": whose["key_hash"],
        "asked": asked,
        "now": now,
        "over": now - KEPT,
    }
    return session.execute(_CLAIM, values).one_or_none() is not None


def _kept(response: Response) -> dict[str, Any]:
    headers = [pair for pair in response.headers if pair[0] != "Content-Length"]
    return {
        "status": response.status_code,
        "headers": json.dumps(headers),
        "body": response.get_data(),
    }


def _again(session: Session, whose: dict[str, Any], asked: bytes) -> Response:
    kept = session.get(KeptAnswer, tuple(whose.values()))
    if kept is None or kept.status is None:
        raise Busy  # it has just been removed, or given to another
    if kept.request_hash != asked:
        raise KeyReused
    response = Response(kept.body, kept.status)
    response.headers.clear()
    response.headers.extend(json.loads(kept.headers or "[]"))
    response.headers["Idempotency-Replayed"] = "true"
    return response
