"""Sessions: a login starts one, a refresh extends it, deleting its row ends it."""

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
from vaultr.auth import known_devices, opaque_tokens, refresh_fast_path, session_binding
from vaultr.auth.decoy_accounts import device_hash
from vaultr.auth.emails import account
from vaultr.auth.errors import SessionEnded
from vaultr.auth.models import RefreshToken, Session
from vaultr.auth.queries import BEGIN_SESSION, COUNT_REFRESH, ROTATE, TOKEN_STATE
from vaultr.database.raw_driver import AutocommitConnection
from vaultr.database.session import one_statement, transaction
from vaultr.database.sql import planned
from vaultr.mail import service as mail
from vaultr.protocol.encoding import b64
from vaultr.ratelimit import limits
from vaultr.ratelimit.sliding_window import Slots, Window, count_one
from vaultr.request_context import Actor, current_origin
from vaultr.security import access_tokens
from vaultr.security.access_tokens import Claims
from vaultr.security.session_check import SessionCheck
from vaultr.settings.model import Settings, current_settings

SESSION_IDLE: Final = timedelta(days=14)
SESSION_LIFETIME: Final = timedelta(days=30)
# A client may repeat a refresh after a lost response; later reuse means that the token was copied.
REPLAY_WINDOW: Final = timedelta(seconds=30)

_LIVE_SESSION: Final = (
    "FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.id = :sid"
    " AND s.account_id = :account AND a.epoch = :epoch AND s.idle_until > :now"
)
# sid and account are sa.Uuid(), now is base.Utc(). `idle_until` is never after `expires_at`.
SESSION_IS_LIVE: Final = f"EXISTS (SELECT 1 {_LIVE_SESSION})"

_STATE: Final = planned(f"SELECT s.proven_at, s.network, s.family {_LIVE_SESSION}")


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """The tokens of a session."""

    session_id: UUID
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int

    @classmethod
    def of(
        cls, account_id: UUID, session_id: UUID, epoch: int, refresh_token: bytes
    ) -> "SessionTokens":
        """Sign an access token for a refresh token."""
        settings = current_settings()
        access = access_tokens.sign(account_id, session_id, epoch)
        return cls(session_id, access, b64(refresh_token), settings.access_token_seconds)


@dataclass(frozen=True, slots=True)
class Device:
    """A device: the keyed hash of its id, and its name."""

    hash: bytes
    name: str

    @classmethod
    def of(cls, device_id: UUID, name: str) -> "Device":
        """Hash the id of a device."""
        return cls(device_hash(device_id), name)


def session_check(settings: Settings) -> SessionCheck:
    """Return the SQL condition of a live session, according to SESSION_BINDING."""
    binding = session_binding.BINDING_SQL if session_binding.is_strict(settings) else ""
    return SessionCheck(f"EXISTS (SELECT 1 {_LIVE_SESSION}{binding})", _check_parameters)


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
    """Return the actor of a token's session, or None if the session is dead, in one statement.

    A session is dead if it was ended, idle for 14 days or started 30 days ago, if its account was
    deleted, or if the account has a newer epoch. A lockout does not end sessions, because anybody
    can cause one. With SESSION_BINDING=strict, this ends a session that is used from elsewhere.
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
    if session_binding.is_strict(settings) and session_binding.changed_origin(state):
        session_binding.end_if_moved(claims.session_id, claims.account_id)
        return None
    fresh_until = state.proven_at + timedelta(seconds=settings.step_up_seconds)
    return Actor(claims.account_id, claims.session_id, claims.epoch, fresh_until)


def start_session(work: Work, account_id: UUID, device: Device) -> tuple[UUID, bytes]:
    """Store a new session, with the password just proven; return its id and first refresh token.

    The account must be locked. If it has QUOTA_SESSIONS live sessions, the longest idle one ends;
    if it has QUOTA_DEVICES known devices, the least recently used one is forgotten.
    """
    now, origin, session_id = clock.now(), current_origin(), uuid4()
    settings = current_settings()
    _end_excess(work, account_id, settings.quota_sessions)
    known_devices.drop_oldest(work, account_id, device.hash, settings.quota_devices)
    token = opaque_tokens.new_refresh_token()
    values = {
        "sid": session_id,
        "account": account_id,
        "device": device.hash,
        "name": device.name,
        "family": origin.family,
        "network": origin.network,
        "now": now,
        "idle_until": now + SESSION_IDLE,
        "expires_at": now + SESSION_LIFETIME,
        "event": audit.record(Event.AUTH_LOGIN_OK, account_id=account_id, session_id=session_id),
        "hash": opaque_tokens.token_hash(token),
        "kid": access_tokens.key_id(),
    }
    BEGIN_SESSION.run(work, values)
    return session_id, token


def _end_excess(work: Work, account_id: UUID, quota: int) -> None:
    excess = (
        sa.select(Session.id)
        .where(Session.account_id == account_id, Session.idle_until > clock.now())
        .order_by(Session.last_used_at.desc(), Session.id)
        .offset(quota - 1)
    )
    ended = work.scalars(excess).all()
    if not ended:
        return
    work.execute(sa.delete(Session).where(Session.id.in_(ended)))
    for session_id in ended:
        obj = {"kind": "session", "id": str(session_id)}
        audit.record(Event.SESSION_END, account_id=account_id, obj=obj, reason="too-many-sessions")


def refresh_session(
    refresh_token: str, *, check_intent: Callable[[UUID], None] | None = None
) -> SessionTokens:
    """Rotate a refresh token, and sign an access token for its successor.

    The session's row is locked, so of several parallel refreshes with one token the first rotates
    it and the others receive the same successor. A rotated token that is used after its successor,
    or more than 30 s later, must have been copied: the session ends, which is recorded and emailed.
    Tokens that never belonged to a live session are not recorded.

    :param check_intent: raises an error if the session's owner may not have intended this request;
        called before anything is counted or changed.
    :raises SessionEnded: the token is unknown, expired or copied; the response is the same for all.
    :raises TooMany: the session refreshes more often than `LIMIT_REFRESH`.
    """
    token = opaque_tokens.parse_refresh_token(refresh_token)
    if token is None:
        raise SessionEnded
    with AutocommitConnection() as connection:
        found = refresh_fast_path.find_token(connection, opaque_tokens.token_hash(token))
        if found is None:
            raise SessionEnded
        if check_intent is not None:
            check_intent(found.session_id)
        nonce, now = opaque_tokens.new_nonce(), clock.now()
        refreshes, window = _count_refresh(found.refreshes, now)
        successor = opaque_tokens.successor(token, nonce)
        rotated = _rotated(token, nonce, successor, now, found.expires_at)
        done = refresh_fast_path.rotate_token(connection, found, refreshes, rotated)
    if done:
        limits.counted_elsewhere(window)
        return SessionTokens.of(found.account_id, found.session_id, found.epoch, successor)
    with transaction() as work:
        opened = _refreshed(work, token, found.session_id)
    if opened is None:
        raise SessionEnded
    return opened


def _count_refresh(refreshes: Slots, now: datetime) -> tuple[Slots, Window]:
    """Count a refresh in the session's row, so the count is exact on any worker.

    :raises TooMany: the session refreshes more often than `LIMIT_REFRESH`; nothing is written.
    """
    settings = current_settings()
    after, window = count_one(refreshes, settings.limit_refresh, int(now.timestamp() * 1000))
    if not window.allowed:
        raise limits.too_many(window)
    return after, window


def _rotated(
    token: bytes, nonce: bytes, successor: bytes, now: datetime, expires_at: datetime
) -> dict[str, Any]:
    """Return the values to write when a token is rotated."""
    return {
        "hash": opaque_tokens.token_hash(token),
        "now": now,
        "nonce": nonce,
        "next_hash": opaque_tokens.token_hash(successor),
        "idle_until": min(now + SESSION_IDLE, expires_at),
        "kid": access_tokens.key_id(),
    }


def _refreshed(work: Work, token: bytes, session_id: UUID) -> SessionTokens | None:
    """Refresh under locks. Return None if the session has ended; its changes must be committed."""
    now = clock.now()
    found = TOKEN_STATE.one(
        work, {"hash": opaque_tokens.token_hash(token), "sid": session_id, "now": now}
    )
    if found is None:
        return None
    settings = current_settings()
    refreshes, window = _count_refresh(refresh_fast_path.refreshes(found), now)
    work.connection().execute(
        COUNT_REFRESH, {"sid": session_id, **refresh_fast_path.slot_parameters(refreshes)}
    )
    if session_binding.is_strict(settings) and (changed := session_binding.changed_origin(found)):
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
    session_binding.record_move(work, session_id, found)
    limits.counted_elsewhere(window)
    return SessionTokens.of(found.account_id, session_id, found.epoch, successor)


def _was_copied(work: Work, rotated_at: datetime, successor: bytes, now: datetime) -> bool:
    """Check whether a rotated token is used too late for a repeated request."""
    used = sa.select(RefreshToken.rotated_at).where(
        RefreshToken.token_hash == opaque_tokens.token_hash(successor)
    )
    return now - rotated_at > REPLAY_WINDOW or work.execute(used).scalar_one() is not None


def _end_for_reuse(work: Work, found: Any, session_id: UUID) -> None:
    work.execute(sa.delete(Session).where(Session.id == session_id))
    account_id = found.account_id
    audit.record(Event.SESSION_REUSE, account_id=account_id, out="deny", session_id=session_id)
    mail.send(account.reuse_notice(), found.email)


def log_out(actor: Actor) -> None:
    """End the actor's session. Parallel logouts all succeed, but only one is recorded."""
    with transaction() as work:
        ended_id = work.execute(
            sa.delete(Session)
            .where(Session.id == actor.session_id, Session.account_id == actor.account_id)
            .returning(Session.id)
        ).one_or_none()
        if ended_id is not None:
            audit.record(Event.SESSION_END, account_id=actor.account_id, reason="logout")


def remove_expired() -> bool:
    """Delete up to 500 expired sessions; return whether more may be left."""
    now, most = clock.now(), 500
    with transaction() as work:
        expired = sa.select(Session.id).where(Session.idle_until <= now).limit(most)
        expired = expired.with_for_update(skip_locked=True)  # avoids deadlocks
        deleted = work.execute(
            sa.delete(Session).where(Session.id.in_(expired)).returning(Session.id)
        )
        return len(deleted.all()) == most


def overused(most: int) -> "sa.Select[Any]":
    """Select the sessions with more than ``most`` refresh tokens."""
    tokens = sa.select(RefreshToken.session_id).group_by(RefreshToken.session_id)
    return tokens.having(sa.func.count() > most)


def end_overused() -> bool:
    """End up to 50 sessions that were refreshed too often; return whether more may be left.

    A session's tokens are stored as long as it lives, so their number needs a limit. A client that
    refreshes whenever its access token expires uses 4,400 tokens in the longest life of a session.
    """
    batch = 50
    with transaction() as work:
        excess = sa.select(Session.id).where(
            Session.id.in_(overused(current_settings().quota_refreshes))
        )
        excess = excess.limit(batch).with_for_update(skip_locked=True)  # avoids deadlocks
        delete = sa.delete(Session).where(Session.id.in_(excess))
        ended = work.execute(delete.returning(Session.id, Session.account_id)).all()
        for session_id, account_id in ended:
            obj = {"kind": "session", "id": str(session_id)}
            audit.record(
                Event.SESSION_END, account_id=account_id, obj=obj, reason="too-many-refreshes"
            )
        return len(ended) == batch
