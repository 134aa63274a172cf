"""Email changes: requested by the owner, confirmed by both addresses, undone by the old one."""

from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import login_throttle, opaque_tokens, operator_locks, recovery_key
from vaultr.auth.account_lock import lock_account, lock_own_account
from vaultr.auth.credential_change import end_sessions
from vaultr.auth.email_addresses import is_taken
from vaultr.auth.emails import address_change
from vaultr.auth.errors import TokenInvalid
from vaultr.auth.models import Account, EmailChange, EmailUndo
from vaultr.database.session import one_statement, transaction
from vaultr.errors import FieldError, Unauthenticated, Unprocessable
from vaultr.mail import service as mail
from vaultr.request_context import Actor
from vaultr.settings.model import current_settings

CONFIRM_WITHIN: Final = timedelta(hours=24)
UNDO_WITHIN: Final = timedelta(days=7)


def request_email_change(actor: Actor, email: str) -> None:
    """Email both addresses to confirm a change; this replaces an earlier request.

    Only the email to the new address shows whether another account has that address.
    LIMIT_MAIL_ACCOUNT limits these emails.

    :raises Unprocessable: the account already has this address.
    :raises TooMany: the account has requested too many changes; nothing is changed or sent.
    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    login_throttle.take(
        login_throttle.email_counter(actor.account_id), current_settings().limit_mail_account
    )
    old_token, new_token, now = (
        opaque_tokens.new_email_token(),
        opaque_tokens.new_email_token(),
        clock.now(),
    )
    with transaction() as work:
        lock_own_account(work, actor)
        current = _email_of(work, actor.account_id)
        if current is None:
            raise Unauthenticated
        if email == current:
            raise Unprocessable(
                errors=[FieldError("/email", "the account already has this address")]
            )
        work.execute(sa.delete(EmailChange).where(EmailChange.account_id == actor.account_id))
        row = {
            "account_id": actor.account_id,
            "email": email,
            "old_token_hash": opaque_tokens.token_hash(old_token),
            "new_token_hash": opaque_tokens.token_hash(new_token),
            "created_at": now,
            "expires_at": now + CONFIRM_WITHIN,
        }
        work.execute(sa.insert(EmailChange), row)
        taken = is_taken(work, email, requester=actor.account_id)
        request = (
            address_change.address_in_use() if taken else address_change.confirm_new(new_token)
        )
        mail.send_all((address_change.confirm_old(old_token, email), current), (request, email))


def confirm_email_change(token: str) -> None:
    """Confirm a change of address; the second confirmation makes the change.

    The account is locked, so of two parallel confirmations the second one makes the change, and
    each token works once. If two accounts take the same address at the same moment, the unique
    column lets only one succeed. Recovery tokens that were sent to the old address become invalid.

    :raises TokenInvalid: unknown, used, expired or replaced by a later request; or the address was
        taken in the meantime. The response is the same for all.
    """
    hash_ = opaque_tokens.token_hash(token)
    mine = sa.or_(EmailChange.old_token_hash == hash_, EmailChange.new_token_hash == hash_)
    mine &= EmailChange.expires_at > clock.now()
    account_id = _account_of(sa.select(EmailChange.account_id).where(mine))
    with transaction() as work:
        lock_account(work, account_id)
        columns = (EmailChange.email, EmailChange.old_token_hash, EmailChange.new_token_hash)
        row = work.execute(sa.select(*columns).where(mine)).one_or_none()
        if row is None:
            raise TokenInvalid
        # the other address has confirmed
        if row.old_token_hash is None or row.new_token_hash is None:
            _complete(work, account_id, row.email)
            return
        used = "old_token_hash" if row.old_token_hash == hash_ else "new_token_hash"
        work.execute(sa.update(EmailChange).where(mine).values({used: None}))


def undo_email_change(token: str) -> None:
    """Restore the old address of an account, and end all its sessions.

    Later changes, their undo tokens, a pending change and a running recovery all end, because an
    attacker who took over the account may have started them.

    :raises TokenInvalid: unknown, used, older than 7 days, or invalidated by an earlier undo; or
        another account has the address. The response is the same for all.
    """
    mine = sa.and_(
        EmailUndo.token_hash == opaque_tokens.token_hash(token), EmailUndo.expires_at > clock.now()
    )
    account_id = _account_of(sa.select(EmailUndo.account_id).where(mine))
    with transaction() as work:
        lock_account(work, account_id)
        row = work.execute(
            sa.select(EmailUndo.email, EmailUndo.created_at).where(mine)
        ).one_or_none()
        if row is None:
            raise TokenInvalid
        displaced = _email_of(work, account_id)
        _set_email(work, account_id, displaced, row.email)
        later = sa.and_(EmailUndo.account_id == account_id, EmailUndo.created_at >= row.created_at)
        work.execute(sa.delete(EmailUndo).where(later))
        work.execute(sa.delete(EmailChange).where(EmailChange.account_id == account_id))
        audit.record(Event.ACCOUNT_EMAIL_UNDO, account_id=account_id)
        end_sessions(work, account_id, reason="email-undo")
        recovery_key.end_recoveries(work, account_id, reason="email-undo")
        emails = [(address_change.undone(), row.email)]
        if displaced is not None and displaced != row.email:
            emails.append((address_change.lost(), displaced))
        mail.send_all(*emails)


def remove_expired() -> bool:
    """Delete up to 500 expired requests and undo tokens each; return whether more may be left."""
    most, now = 500, clock.now()
    with transaction() as work:
        full = []
        for table, key in ((EmailChange, EmailChange.account_id), (EmailUndo, EmailUndo.id)):
            expired = sa.select(key).where(table.expires_at <= now).limit(most)
            expired = expired.with_for_update(skip_locked=True)  # avoids deadlocks
            deleted = work.execute(sa.delete(table).where(key.in_(expired)).returning(key))
            full.append(len(deleted.all()) == most)
        return any(full)


def _complete(work: Work, account_id: UUID, email: str) -> None:
    token, now, old = opaque_tokens.new_email_token(), clock.now(), _email_of(work, account_id)
    if old is None:
        raise TokenInvalid
    _set_email(work, account_id, old, email)
    work.execute(sa.delete(EmailChange).where(EmailChange.account_id == account_id))
    row = {
        "id": uuid4(),
        "account_id": account_id,
        "email": old,
        "token_hash": opaque_tokens.token_hash(token),
        "created_at": now,
        "expires_at": now + UNDO_WITHIN,
    }
    work.execute(sa.insert(EmailUndo), row)
    audit.record(Event.ACCOUNT_EMAIL_CHANGE, account_id=account_id)
    # A token sent to the old address proves access to a mailbox that no longer belongs to the
    # account.
    recovery_key.end_recoveries(work, account_id, reason="email-change")
    mail.send_all(
        (address_change.changed_old(token, email), old), (address_change.changed_new(), email)
    )


def _set_email(work: Work, account_id: UUID, old: str | None, email: str) -> None:
    if is_taken(work, email, requester=account_id):
        raise TokenInvalid
    account = sa.update(Account).where(Account.id == account_id)
    try:
        work.execute(account.values(email=email))
    except sa.exc.IntegrityError:  # another account took the address at the same moment
        raise TokenInvalid from None
    if old is not None:
        operator_locks.move_lock(work, account_id, old, email)


def _email_of(work: Work, account_id: UUID) -> str | None:
    found = sa.select(Account.email).where(Account.id == account_id)
    return work.execute(found).scalar_one_or_none()


def _account_of(query: "sa.Select[UUID]") -> UUID:
    with one_statement() as connection:
        account_id = connection.execute(query).scalar_one_or_none()
    if account_id is None:
        raise TokenInvalid
    return account_id
