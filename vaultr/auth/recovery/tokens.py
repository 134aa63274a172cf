"""Recovery tokens: emailed on request, invalidated by a cancellation."""

from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import opaque_tokens, recovery_key
from vaultr.auth.account_lock import lock_account, lock_own_account
from vaultr.auth.emails import recovery
from vaultr.auth.errors import TokenInvalid
from vaultr.auth.models import Account, Recovery, RecoveryKey
from vaultr.database.session import one_statement, transaction
from vaultr.errors import NotFound
from vaultr.mail import service as mail
from vaultr.request_context import Actor

TOKEN_LIVES: Final = timedelta(hours=72)
WAIT: Final = timedelta(hours=24)

# The table itself, because inserting objects would leave out columns that are None.
_RECOVERIES: Final = cast(sa.Table, Recovery.__table__)

_ACCOUNT_BY_EMAIL: Final = (
    sa.select(Account.id, RecoveryKey.account_id.is_not(None).label("recoverable"))
    .select_from(sa.select(sa.literal(1).label("one")).subquery("always"))
    .outerjoin(Account, Account.email == sa.bindparam("email"))
    .outerjoin(RecoveryKey, RecoveryKey.account_id == Account.id)
)


def request_recovery(email: str) -> None:
    """Email a recovery token to the owner of an address.

    Only the email shows whether the address has an account: this writes the same rows for an
    unknown address. If the account has no recovery key, the email says that instead. Earlier tokens
    stay valid, so that other people's requests cannot end a recovery. Over the email limit, nothing
    is sent and no new token becomes valid.
    """
    try:
        _request_recovery(email)
    except sa.exc.IntegrityError:  # the account was deleted at the same moment
        _request_recovery(email)


def _request_recovery(email: str) -> None:
    token, now, recovery_id = opaque_tokens.new_email_token(), clock.now(), uuid4()
    with transaction() as work:
        account = work.execute(_ACCOUNT_BY_EMAIL, {"email": email}).one()
        row = {
            "id": recovery_id,
            "account_id": account.id if account.recoverable else None,
            "token_hash": opaque_tokens.token_hash(token),
            "created_at": now,
            "expires_at": now,
        }
        work.execute(sa.insert(_RECOVERIES), row)
        no_key = account.id is not None and not account.recoverable
        message = recovery.no_recovery_key() if no_key else recovery.recovery(token)
        sent = mail.send(message, email, decoy=account.id is None)
        is_valid = sent and account.recoverable
        until = sa.update(Recovery).where(Recovery.id == recovery_id)
        work.execute(until.values(expires_at=now + TOKEN_LIVES if is_valid else now))


def cancel_recovery_by_token(token: str) -> None:
    """End a recovery by its emailed token; also delete the recovery key if it was used.

    :raises TokenInvalid: unknown, expired or invalidated; or the recovery was completed.
    """
    account_id = account_by_token(token)
    if account_id is None:
        raise TokenInvalid
    with transaction() as work:
        lock_account(work, account_id)
        row = work.execute(sa.select(Recovery.started_at).where(is_live(token))).one_or_none()
        if row is None:
            raise TokenInvalid
        if row.started_at is not None:
            recovery_key.end_recoveries(work, account_id, reason="by-mail")
            _notify_cancelled(work, account_id)
            return
        work.execute(sa.delete(Recovery).where(is_live(token)))
        audit.record(Event.CRED_RECOVER_CANCEL, account_id=account_id, reason="by-mail")


def cancel_recovery(actor: Actor) -> None:
    """End the account's recovery from a live session.

    :raises NotFound: no recovery is running and no token is valid.
    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    with transaction() as work:
        lock_own_account(work, actor)
        found, running = recovery_key.end_recoveries(work, actor.account_id, reason="by-session")
        if not found:
            raise NotFound("No recovery is running.")
        if running:
            _notify_cancelled(work, actor.account_id)
        else:  # if a recovery had started, `end_recoveries` has recorded the end
            audit.record(
                Event.CRED_RECOVER_CANCEL, account_id=actor.account_id, reason="by-session"
            )


def remove_expired() -> bool:
    """Delete up to 500 expired tokens; return whether more may be left."""
    most = 500
    with transaction() as work:
        expired = sa.select(Recovery.id).where(Recovery.expires_at <= clock.now()).limit(most)
        expired = expired.with_for_update(skip_locked=True)  # avoids deadlocks
        deleted = work.execute(
            sa.delete(Recovery).where(Recovery.id.in_(expired)).returning(Recovery.id)
        )
        return len(deleted.all()) == most


def account_by_token(token: str) -> UUID | None:
    """Return the account of an emailed token; None if the token is unknown or expired."""
    with one_statement() as connection:
        found = connection.execute(sa.select(Recovery.account_id).where(is_live(token)))
        account_id: UUID | None = found.scalar_one_or_none()
    return account_id


def is_live(token: str) -> sa.ColumnElement[bool]:
    """Return the SQL condition that selects the row of a valid token."""
    return sa.and_(
        Recovery.token_hash == opaque_tokens.token_hash(token), Recovery.expires_at > clock.now()
    )


def _notify_cancelled(work: Work, account_id: UUID) -> None:
    email: Any = work.execute(sa.select(Account.email).where(Account.id == account_id)).scalar_one()
    mail.send(recovery.recovery_cancelled(), email)
