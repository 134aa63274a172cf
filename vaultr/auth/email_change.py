"""A change of address: asked for by the owner, agreed to by both addresses, undone by the old."""

from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import opaque_tokens, operator_locks, recovery_key
from vaultr.auth.account_lock import lock_account, lock_own
from vaultr.auth.credential_change import end_sessions
from vaultr.auth.email_addresses import is_taken
from vaultr.auth.emails import address_change
from vaultr.auth.errors import TokenInvalid
from vaultr.auth.models import Account, EmailChange, EmailUndo
from vaultr.database.session import one_statement, transaction
from vaultr.errors import FieldError, Unauthenticated, Unprocessable
from vaultr.mail import service as mail
from vaultr.request_context import Actor

CONFIRM_WITHIN: Final = timedelta(hours=24)
UNDO_WITHIN: Final = timedelta(days=7)


def ask(actor: Actor, email: str) -> None:
    """Ask both addresses whether the account is to have a new one; it replaces an earlier wish.

    Whether the new address is taken shows in nothing but the letter that goes there.

    :raises Unprocessable: the account has this address already.
    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    old_token, new_token, now = opaque_tokens.mail_token(), opaque_tokens.mail_token(), clock.now()
    with transaction() as work:
        lock_own(work, actor)
        current = _email_of(work, actor.account_id)
        if current is None:
            raise Unauthenticated
        if email == current:
            raise Unprocessable(
                errors=[FieldError("/email", "the account has this address already")]
            )
        work.execute(sa.delete(EmailChange).where(EmailChange.account_id == actor.account_id))
        row = {
            "account_id": actor.account_id,
            "email": email,
            "old_token_hash": opaque_tokens.hash_of(old_token),
            "new_token_hash": opaque_tokens.hash_of(new_token),
            "created_at": now,
            "expires_at": now + CONFIRM_WITHIN,
        }
        work.execute(sa.insert(EmailChange), row)
        taken = is_taken(work, email, but=actor.account_id)
        asked = address_change.address_in_use() if taken else address_change.confirm_new(new_token)
        mail.send_all((address_change.confirm_old(old_token, email), current), (asked, email))


def confirm(token: str) -> None:
    """Agree to a change of address; the second address to agree makes it.

    Under the account's lock, so of parallel confirmations by both addresses the later one makes
    the change, and by one token one succeeds. Of two accounts that take one address at the same
    moment the unique column lets one. Tokens to recover the account that went to the old address
    are void then.

    :raises TokenInvalid: never mailed, used, over, replaced by a later wish; or the address was
        taken in the meantime. All alike.
    """
    hash_ = opaque_tokens.hash_of(token)
    mine = sa.or_(EmailChange.old_token_hash == hash_, EmailChange.new_token_hash == hash_)
    mine &= EmailChange.expires_at > clock.now()
    account_id = _account_of(sa.select(EmailChange.account_id).where(mine))
    with transaction() as work:
        lock_account(work, account_id)
        columns = (EmailChange.email, EmailChange.old_token_hash, EmailChange.new_token_hash)
        row = work.execute(sa.select(*columns).where(mine)).one_or_none()
        if row is None:
            raise TokenInvalid
        if row.old_token_hash is None or row.new_token_hash is None:  # the other one has agreed
            _change(work, account_id, row.email)
            return
        used = "old_token_hash" if row.old_token_hash == hash_ else "new_token_hash"
        work.execute(sa.update(EmailChange).where(mine).values({used: None}))


def undo(token: str) -> None:
    """Give an account its old address back, which ends all its sessions.

    Later changes, their own undoing, a wish that waits and a recovery that is under way all end:
    whoever took the account over would have made them.

    :raises TokenInvalid: never mailed, used, over 7 days old, void by an earlier undoing; or
        another account has the address. All alike.
    """
    mine = sa.and_(
        EmailUndo.token_hash == opaque_tokens.hash_of(token), EmailUndo.expires_at > clock.now()
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
        _set(work, account_id, displaced, row.email)
        later = sa.and_(EmailUndo.account_id == account_id, EmailUndo.created_at >= row.created_at)
        work.execute(sa.delete(EmailUndo).where(later))
        work.execute(sa.delete(EmailChange).where(EmailChange.account_id == account_id))
        audit.record(Event.ACCOUNT_EMAIL_UNDO, account_id=account_id)
        end_sessions(work, account_id, reason="email-undo")
        recovery_key.end_recoveries(work, account_id, reason="email-undo")
        told = [(address_change.undone(), row.email)]
        if displaced is not None and displaced != row.email:
            told.append((address_change.lost(), displaced))
        mail.send_all(*told)


def remove_expired() -> bool:
    """Remove up to 500 wishes and 500 undoings that are over; tell whether more may be left."""
    most, now = 500, clock.now()
    with transaction() as work:
        full = []
        for table, key in ((EmailChange, EmailChange.account_id), (EmailUndo, EmailUndo.id)):
            over = sa.select(key).where(table.expires_at <= now).limit(most)
            over = over.with_for_update(skip_locked=True)  # nobody waits for it in a circle
            gone = work.execute(sa.delete(table).where(key.in_(over)).returning(key))
            full.append(len(gone.all()) == most)
        return any(full)


def _change(work: Work, account_id: UUID, email: str) -> None:
    token, now, old = opaque_tokens.mail_token(), clock.now(), _email_of(work, account_id)
    if old is None:
        raise TokenInvalid
    _set(work, account_id, old, email)
    work.execute(sa.delete(EmailChange).where(EmailChange.account_id == account_id))
    row = {
        "id": uuid4(),
        "account_id": account_id,
        "email": old,
        "token_hash": opaque_tokens.hash_of(token),
        "created_at": now,
        "expires_at": now + UNDO_WITHIN,
    }
    work.execute(sa.insert(EmailUndo), row)
    audit.record(Event.ACCOUNT_EMAIL_CHANGE, account_id=account_id)
    # A token that went to the old address proves a mailbox that is the account's no more.
    recovery_key.end_recoveries(work, account_id, reason="email-change")
    mail.send_all(
        (address_change.changed_old(token, email), old), (address_change.changed_new(), email)
    )


def _set(work: Work, account_id: UUID, old: str | None, email: str) -> None:
    if is_taken(work, email, but=account_id):
        raise TokenInvalid
    account = sa.update(Account).where(Account.id == account_id)
    try:
        work.execute(account.values(email=email))
    except sa.exc.IntegrityError:  # another account took it at this very moment
        raise TokenInvalid from None
    if old is not None:
        operator_locks.follow(work, account_id, old, email)


def _email_of(work: Work, account_id: UUID) -> str | None:
    found = sa.select(Account.email).where(Account.id == account_id)
    return work.execute(found).scalar_one_or_none()


def _account_of(query: "sa.Select[UUID]") -> UUID:
    with one_statement() as connection:
        account_id = connection.execute(query).scalar_one_or_none()
    if account_id is None:
        raise TokenInvalid
    return account_id
