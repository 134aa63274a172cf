"""Set, replace and remove the recovery key, and end the recoveries that use it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth.account_lock import lock_own_account
from vaultr.auth.credential_schemas import RecoveryKeyIn
from vaultr.auth.emails import recovery
from vaultr.auth.errors import StaleRevision
from vaultr.auth.models import Account, Recovery, RecoveryKey
from vaultr.database.session import one_statement, transaction
from vaultr.errors import NotFound
from vaultr.mail import service as mail
from vaultr.request_context import Actor
from vaultr.wire import field_types
from vaultr.wire.preconditions import etag


@dataclass(frozen=True, slots=True)
class RecoveryState:
    """The state of an account's recovery key; all None if the account has none.

    :ivar running_since: start of the running recovery.
    """

    epoch: int | None = None
    created_at: datetime | None = None
    running_since: datetime | None = None


def put_recovery_key(actor: Actor, body: RecoveryKeyIn) -> None:
    """Store a recovery key; it replaces an existing one.

    The epoch is compared under the account's lock, so the new key opens the current account key. A
    running recovery with the previous key ends.

    :raises NotSealed: the value cannot be a sealed value.
    :raises StaleRevision: the account key has another epoch; the error contains it.
    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    field_types.check_sealed({"/sealed": body.sealed})
    with transaction() as work:
        email, epoch = _locked(work, actor)
        if body.epoch != epoch:
            members = {"revision": epoch, "epoch": epoch}
            raise StaleRevision(members=members, headers=etag(epoch))
        end_recoveries(work, actor.account_id, reason="new-recovery-key")
        work.execute(sa.delete(RecoveryKey).where(RecoveryKey.account_id == actor.account_id))
        row = {
            "account_id": actor.account_id,
            "verifier": body.verifier,
            "sealed": body.sealed,
            "epoch": body.epoch,
            "created_at": clock.now(),
            "audit_event_id": audit.record(Event.RECOVERY_KEY_SET, account_id=actor.account_id),
        }
        work.execute(sa.insert(RecoveryKey), row)
        mail.send(recovery.recovery_key_set(), email)


def remove_recovery_key(actor: Actor) -> None:
    """Remove the recovery key, and end a recovery that uses it.

    :raises NotFound: the account has no recovery key.
    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    with transaction() as work:
        email, _ = _locked(work, actor)
        if not delete_recovery_key(work, actor.account_id):
            raise NotFound("This account has no recovery key.")
        end_recoveries(work, actor.account_id, reason="recovery-key-removed")
        mail.send(recovery.recovery_key_removed(), email)


def delete_recovery_key(work: Work, account_id: UUID, *, reason: str | None = None) -> bool:
    """Delete the recovery key of a locked account; return whether it had one."""
    deleted = work.execute(
        sa.delete(RecoveryKey)
        .where(RecoveryKey.account_id == account_id)
        .returning(RecoveryKey.account_id)
    ).all()
    if deleted:
        audit.record(Event.RECOVERY_KEY_REMOVE, account_id=account_id, reason=reason)
    return bool(deleted)


def end_recoveries(work: Work, account_id: UUID, *, reason: str) -> tuple[bool, bool]:
    """Invalidate all recovery tokens of a locked account.

    If a recovery had started, its recovery key was used, so the key is deleted too. Both are
    recorded.

    :return: whether a token was valid, and whether a recovery had started.
    """
    deleted = work.execute(
        sa.delete(Recovery)
        .where(Recovery.account_id == account_id)
        .returning(Recovery.expires_at, Recovery.started_at)
    ).all()
    alive = [row for row in deleted if row.expires_at > clock.now()]
    running = any(row.started_at is not None for row in alive)
    if running:
        audit.record(Event.CRED_RECOVER_CANCEL, account_id=account_id, reason=reason)
        delete_recovery_key(work, account_id, reason=reason)
    return bool(alive), running


def recovery_state(account_id: UUID) -> RecoveryState:
    """Return the state of an account's recovery key and of a running recovery."""
    running = sa.select(sa.func.min(Recovery.started_at)).where(
        Recovery.account_id == account_id, Recovery.expires_at > clock.now()
    )
    columns = (RecoveryKey.epoch, RecoveryKey.created_at, running.scalar_subquery())
    with one_statement() as connection:
        row = connection.execute(
            sa.select(*columns).where(RecoveryKey.account_id == account_id)
        ).one_or_none()
    return RecoveryState() if row is None else RecoveryState(*row)


def _locked(work: Work, actor: Actor) -> tuple[str, int]:
    lock_own_account(work, actor)
    found = sa.select(Account.email, Account.epoch).where(Account.id == actor.account_id)
    row = work.execute(found).one()
    return row.email, row.epoch
