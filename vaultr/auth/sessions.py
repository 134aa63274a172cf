"""Sessions: opened by a login, kept up by refreshing, and dead at once when their row is gone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import opaque_tokens, refresh_fast_path, session_binding
from vaultr.auth.decoy_accounts import device_hash
from vaultr.auth.emails import account
from vaultr.auth.errors import SessionEnded
from vaultr.auth.models import RefreshToken, Session
from vaultr.auth.queries import BEGIN_SESSION, COUNT_REFRESH, ROTATE, TOKEN_STATE
from vaultr.database.raw_driver import Line
from vaultr.database.session import one_statement, transaction
from vaultr.database.sql import planned
from vaultr.mail import service as mail
from vaultr.protocol.encoding import b64
from vaultr.ratelimit import limits
from vaultr.ratelimit.sliding_window import Slots, Window, counted
from vaultr.request_context import Actor, current_origin
from vaultr.security import access_tokens
from vaultr.security.access_tokens import Claims
from vaultr.security.session_check import SessionCheck
from vaultr.settings.model import Settings, current_settings

IDLE: Final = timedelta(days=14)
ABSOLUTE: Final = timedelta(days=30)
# How long a lost answer may be asked for again; after that a rotated token is a copied one.
AGAIN: Final = timedelta(seconds=30)

_LIVES: Final = (
    "FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.id = :sid"
    " AND s.account_id = :account AND a.epoch = :epoch AND s.idle_until > :now"
)
# sid and account are sa.Uuid(), now is base.Utc(). `idle_until` is never after the absolute end.
SESSION_LIVES: Final = f"EXISTS (SELECT 1 {_LIVES})"

_STATE: Final = planned(f"SELECT s.proven_at, s.network, s.family {_LIVES}")


@dataclass(frozen=True, slots=True)
class Opened:
    """What a client proves its session with from now on."""

    session_id: UUID
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int

    @classmethod
    def of(cls, account_id: UUID, session_id: UUID, epoch: int, refresh_token: bytes) -> "Opened":
        """Sign an access token to go with a refresh token."""
        settings = current_settings()
        access = access_tokens.sign(account_id, session_id, epoch)
        return cls(session_id, access, b64(refresh_token), settings.access_token_seconds)


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the server knows it: by a hash that tells nothing elsewhere, and a name."""

    hash: bytes
    name: str

    @classmethod
    def of(cls, device_id: UUID, name: str) -> "Device":
        """Take a device's id only in to hash it."""
        return cls(device_hash(device_id), name)


def session_check(settings: Settings) -> SessionCheck:
    """Return the condition that a session is alive, as strict as SESSION_BINDING asks for."""
    at_home = session_binding.AT_HOME if session_binding.strict(settings) else ""
    return SessionCheck(f"EXISTS (SELECT 1 {_LIVES}{at_home})", _check_parameters)


def _check_parameters(actor: Actor) -> dict[str, Any]:
    origin = current_origin()
    return {
        "sid": actor.session_id,
        "account": actor.account_id,
        "epoch": actor.epoch,
        "now": clock.now(),
        "network": origin.network,
        "family": origin.family,
    }


def session_actor(claims: Claims) -> Actor | None:
    """Return the actor of a token's session, or None if the session is dead; one statement.

    Dead: ended, idle for 14 days or 30 days old, of an account that is gone, or signed under an
    older epoch than the account's. A lock-out kills no session: strangers cause those. With
    SESSION_BINDING=strict one that is used from elsewhere is ended here.
    """
    values = {
        "sid": claims.session_id,
        "account": claims.account_id,
        "epoch": claims.epoch,
        "now": clock.now(),
    }
    with one_statement() as connection:
        state = connection.execute(_STATE, values).one_or_none()
    if state is None:
        return None
    settings = current_settings()
    if session_binding.strict(settings) and session_binding.moved(state):
        session_binding.end_if_moved(claims.session_id, claims.account_id)
        return None
    fresh_until = state.proven_at + timedelta(seconds=settings.step_up_seconds)
    return Actor(claims.account_id, claims.session_id, claims.epoch, fresh_until)


def begin(work: Work, account_id: UUID, device: Device) -> tuple[UUID, bytes]:
    """Write a new session, which counts as freshly proven; give its id and first refresh token."""
    now, origin, session_id = clock.now(), current_origin(), uuid4()
    token = opaque_tokens.new_refresh_token()
    values = {
        "sid": session_id,
        "account": account_id,
        "device": device.hash,
        "name": device.name,
        "family": origin.family,
        "network": origin.network,
        "now": now,
        "idle_until": now + IDLE,
        "expires_at": now + ABSOLUTE,
        "event": audit.record(Event.AUTH_LOGIN_OK, account_id=account_id, session_id=session_id),
        "hash": opaque_tokens.hash_of(token),
        "kid": access_tokens.key_id(),
    }
    BEGIN_SESSION.run(work, values)
    return session_id, token


def refresh(refresh_token: str, *, meant: Callable[[UUID], None] | None = None) -> Opened:
    """Rotate a refresh token, and sign an access token to go with its successor.

    The session's row is locked first, so that of parallel refreshes with one token the first one
    rotates and the others are given the same successor. A rotated token that comes after its
    successor was used, or over 30 s late, was copied by somebody: the session ends for both, which
    is recorded and mailed. Whatever never was a token of a live session is refused without a trace.

    :param meant: refuses, before anything is counted or changed, if the session's owner may not
        have meant this request.
    :raises SessionEnded: in all these cases alike.
    :raises TooMany: the session refreshes more often than `LIMIT_REFRESH`.
    """
    token = opaque_tokens.presented(refresh_token)
    if token is None:
        raise SessionEnded
    with Line() as line:
        found = refresh_fast_path.find(line, opaque_tokens.hash_of(token))
        if found is None:
            raise SessionEnded
        if meant is not None:
            meant(found.session_id)
        nonce, now = opaque_tokens.new_nonce(), clock.now()
        refreshes, window = _one_more(found.refreshes, now)
        successor = opaque_tokens.successor(token, nonce)
        rotated = _rotated(token, nonce, successor, now, found.expires_at)
        done = refresh_fast_path.rotate(line, found, refreshes, rotated)
    if done:
        limits.counted_elsewhere(window)
        return Opened.of(found.account_id, found.session_id, found.epoch, successor)
    with transaction() as work:
        opened = _refreshed(work, token, found.session_id)
    if opened is None:
        raise SessionEnded
    return opened


def _one_more(refreshes: Slots, now: datetime) -> tuple[Slots, Window]:
    """Count a refresh by its session; the session's row decides, so it is exact on any worker.

    :raises TooMany: the session refreshes more often than `LIMIT_REFRESH`; nothing is written.
    """
    settings = current_settings()
    after, window = counted(refreshes, settings.limit_refresh, int(now.timestamp() * 1000))
    if not window.allowed:
        raise limits.too_many(window)
    return after, window


def _rotated(
    token: bytes, nonce: bytes, successor: bytes, now: datetime, expires_at: datetime
) -> dict[str, Any]:
    """Give what is written when a token is rotated."""
    return {
        "hash": opaque_tokens.hash_of(token),
        "now": now,
        "nonce": nonce,
        "next_hash": opaque_tokens.hash_of(successor),
        "idle_until": min(now + IDLE, expires_at),
        "kid": access_tokens.key_id(),
    }


def _refreshed(work: Work, token: bytes, session_id: UUID) -> Opened | None:
    """Do what `refresh` says; None ends in a refusal, but what was written is kept."""
    now = clock.now()
    found = TOKEN_STATE.one(
        work, {"hash": opaque_tokens.hash_of(token), "sid": session_id, "now": now}
    )
    if found is None:
        return None
    settings = current_settings()
    refreshes, window = _one_more(refresh_fast_path.refreshes(found), now)
    work.connection().execute(
        COUNT_REFRESH, {"sid": session_id, **refresh_fast_path.as_values(refreshes)}
    )
    if session_binding.strict(settings) and (changed := session_binding.moved(found)):
        session_binding.end_moved(work, session_id, found, changed)
        return None
    nonce = opaque_tokens.new_nonce() if found.nonce is None else found.nonce
    successor = opaque_tokens.successor(token, nonce)
    if found.rotated_at is None:
        rotated = _rotated(token, nonce, successor, now, found.expires_at)
        ROTATE.run(work, rotated | {"sid": session_id})
    elif _was_copied(work, found.rotated_at, successor, now):
        _end_for_reuse(work, found, session_id)
        return None
    audit.record(Event.SESSION_REFRESH, account_id=found.account_id, session_id=session_id)
    session_binding.note_move(work, session_id, found)
    limits.counted_elsewhere(window)
    return Opened.of(found.account_id, session_id, found.epoch, successor)


def _was_copied(work: Work, rotated_at: datetime, successor: bytes, now: datetime) -> bool:
    """Tell whether a rotated token comes too late to be a repeated request."""
    used = sa.select(RefreshToken.rotated_at).where(
        RefreshToken.token_hash == opaque_tokens.hash_of(successor)
    )
    return now - rotated_at > AGAIN or work.execute(used).scalar_one() is not None


def _end_for_reuse(work: Work, found: Any, session_id: UUID) -> None:
    work.execute(sa.delete(Session).where(Session.id == session_id))
    account_id = found.account_id
    audit.record(Event.SESSION_REUSE, account_id=account_id, out="deny", session_id=session_id)
    mail.send(account.reuse_notice(), found.email)


def end(actor: Actor) -> None:
    """End the actor's session; of parallel logouts one does it, and all are content."""
    with transaction() as work:
        gone = work.execute(
            sa.delete(Session)
            .where(Session.id == actor.session_id, Session.account_id == actor.account_id)
            .returning(Session.id)
        ).one_or_none()
        if gone is not None:
            audit.record(Event.SESSION_END, account_id=actor.account_id, reason="logout")


def remove_expired() -> bool:
    """Remove up to 500 sessions that ended by themselves; tell whether more may be left."""
    now, most = clock.now(), 500
    with transaction() as work:
        over = sa.select(Session.id).where(Session.idle_until <= now).limit(most)
        over = over.with_for_update(skip_locked=True)  # so that nobody waits for it in a circle
        gone = work.execute(sa.delete(Session).where(Session.id.in_(over)).returning(Session.id))
        return len(gone.all()) == most
