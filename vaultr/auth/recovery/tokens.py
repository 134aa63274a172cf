"""The tokens to recover an account with: mailed on request, and void when they are cancelled."""

from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import opaque_tokens, recovery_key
from vaultr.auth.account_lock import lock_account, lock_own
from vaultr.auth.emails import recovery
from vaultr.auth.errors import TokenInvalid
from vaultr.auth.models import Account, Recovery, RecoveryKey
from vaultr.database.session import one_statement, transaction
from vaultr.errors import NotFound
from vaultr.mail import service as mail
from vaultr.request_context import Actor

TOKEN_LIVES: Final = timedelta(hours=72)
WAIT: Final = timedelta(hours=24)

# The table itself: an insert of objects would leave a column out where it is None.
_RECOVERIES: Final = cast(sa.Table, Recovery.__table__)

_WHO: Final = (
    sa.select(Account.id, RecoveryKey.account_id.is_not(None).label("recoverable"))
    .select_from(sa.select(sa.literal(1).label("one")).subquery("always"))
    .outerjoin(Account, Account.email == sa.bindparam("email"))
    .outerjoin(RecoveryKey, RecoveryKey.account_id == Account.id)
)


def ask(email: str) -> None:
    """Mail a token to the owner of an address.

    Whether it has an account shows in nothing but the letter: the same rows are written for one
    that has none, and for one without a recovery key, whose owner is told just that. Tokens
    mailed before stay good, so that strangers who ask end nobody's recovery. Beyond the limit of
    mails nothing is sent, and no token is good that was not.
    """
    try:
        _ask(email)
    except sa.exc.IntegrityError:  # the account was deleted at this very moment
        _ask(email)


def _ask(email: str) -> None:
    token, now, recovery_id = opaque_tokens.mail_token(), clock.now(), uuid4()
    with transaction() as work:
        who = work.execute(_WHO, {"email": email}).one()
        row = {
            "id": recovery_id,
            "account_id": who.id if who.recoverable else None,
            "token_hash": opaque_tokens.hash_of(token),
            "created_at": now,
            "expires_at": now,
        }
        work.execute(sa.insert(_RECOVERIES), row)
        impossible = who.id is not None and not who.recoverable
        letter = recovery.no_recovery_key() if impossible else recovery.recovery(token)
        sent = mail.send(letter, email, pretend=who.id is None)
        lives = sent and who.recoverable
        until = sa.update(Recovery).where(Recovery.id == recovery_id)
        work.execute(until.values(expires_at=now + TOKEN_LIVES if lives else now))


def cancel_by_token(token: str) -> None:
    """End a recovery by its mailed token, and with it the recovery key, if it was used.

    :raises TokenInvalid: never mailed, over, void, or a recovery has been completed.
    """
    account_id = account_of(token)
    if account_id is None:
        raise TokenInvalid
    with transaction() as work:
        lock_account(work, account_id)
        row = work.execute(sa.select(Recovery.started_at).where(alive(token))).one_or_none()
        if row is None:
            raise TokenInvalid
        if row.started_at is not None:
            recovery_key.end_recoveries(work, account_id, reason="by-mail")
            _tell_cancelled(work, account_id)
            return
        work.execute(sa.delete(Recovery).where(alive(token)))
        audit.record(Event.CRED_RECOVER_CANCEL, account_id=account_id, reason="by-mail")


def cancel(actor: Actor) -> None:
    """End whatever recovery of the account is under way, from a live session of it.

    :raises NotFound: none is.
    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    with transaction() as work:
        lock_own(work, actor)
        there, running = recovery_key.end_recoveries(work, actor.account_id, reason="by-session")
        if not there:
            raise NotFound("No recovery is under way.")
        if running:
            _tell_cancelled(work, actor.account_id)


def remove_expired() -> bool:
    """Remove up to 500 tokens that are over; tell whether more may be left."""
    most = 500
    with transaction() as work:
        over = sa.select(Recovery.id).where(Recovery.expires_at <= clock.now()).limit(most)
        over = over.with_for_update(skip_locked=True)  # so that nobody waits for it in a circle
        gone = work.execute(sa.delete(Recovery).where(Recovery.id.in_(over)).returning(Recovery.id))
        return len(gone.all()) == most


def account_of(token: str) -> UUID | None:
    """Tell which account a mailed token stands for; None if it is none, or is over."""
    with one_statement() as connection:
        found = connection.execute(sa.select(Recovery.account_id).where(alive(token)))
        account_id: UUID | None = found.scalar_one_or_none()
    return account_id


def alive(token: str) -> sa.ColumnElement[bool]:
    """Give the condition by which a token's row is found while it is good."""
    return sa.and_(
        Recovery.token_hash == opaque_tokens.hash_of(token), Recovery.expires_at > clock.now()
    )


def _tell_cancelled(work: Work, account_id: UUID) -> None:
    email: Any = work.execute(sa.select(Account.email).where(Account.id == account_id)).scalar_one()
    mail.send(recovery.recovery_cancelled(), email)
