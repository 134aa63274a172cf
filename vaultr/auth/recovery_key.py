"""The recovery key: kept, replaced and removed by its owner, and what ends together with it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth.account_lock import lock_own
from vaultr.auth.credential_schemas import RecoveryKeyIn
from vaultr.auth.emails import recovery
from vaultr.auth.errors import StaleRevision
from vaultr.auth.models import Account, Recovery, RecoveryKey
from vaultr.database.session import one_statement, transaction
from vaultr.errors import NotFound
from vaultr.mail import service as mail
from vaultr.request_context import Actor
from vaultr.wire import sealed_fields


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with an account's recovery key; all None if there is none.

    :ivar running_since: when the recovery that is under way was started.
    """

    epoch: int | None = None
    created_at: datetime | None = None
    running_since: datetime | None = None


def put(actor: Actor, body: RecoveryKeyIn) -> None:
    """Keep a recovery key in the place of one that may be there.

    The epoch is compared under the account's lock, so it seals the account key that there is. A
    recovery that the one before was used for ends.

    :raises NotSealed: it cannot be a sealed value.
    :raises StaleRevision: the account key has another epoch; the refusal carries it.
    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    sealed_fields.check({"/sealed": body.sealed})
    with transaction() as work:
        email, epoch = _locked(work, actor)
        if body.epoch != epoch:
            members = {"revision": epoch, "epoch": epoch}
            raise StaleRevision(members=members, headers={"ETag": f'"{epoch}"'})
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


def remove(actor: Actor) -> None:
    """Remove the recovery key, and end a recovery that it was used for.

    :raises NotFound: there is none.
    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    with transaction() as work:
        email, _ = _locked(work, actor)
        if not end(work, actor.account_id):
            raise NotFound("There is no recovery key.")
        end_recoveries(work, actor.account_id, reason="recovery-key-removed")
        mail.send(recovery.recovery_key_removed(), email)


def end(work: Work, account_id: UUID, *, reason: str | None = None) -> bool:
    """Remove the recovery key of an account that is locked; tell whether there was one."""
    gone = work.execute(
        sa.delete(RecoveryKey)
        .where(RecoveryKey.account_id == account_id)
        .returning(RecoveryKey.account_id)
    ).all()
    if gone:
        audit.record(Event.RECOVERY_KEY_REMOVE, account_id=account_id, reason=reason)
    return bool(gone)


def end_recoveries(work: Work, account_id: UUID, *, reason: str) -> tuple[bool, bool]:
    """Make all tokens to recover an account void, which is locked.

    Where one had started, the recovery key was used: it ends too, and both are recorded.

    :return: whether there was a token, and whether one had started.
    """
    gone = work.execute(
        sa.delete(Recovery)
        .where(Recovery.account_id == account_id)
        .returning(Recovery.expires_at, Recovery.started_at)
    ).all()
    alive = [row for row in gone if row.expires_at > clock.now()]
    running = any(row.started_at is not None for row in alive)
    if running:
        audit.record(Event.CRED_RECOVER_CANCEL, account_id=account_id, reason=reason)
        end(work, account_id, reason=reason)
    return bool(alive), running


def standing(account_id: UUID) -> Standing:
    """Tell an owner whether there is a recovery key, and since when it is being used."""
    running = sa.select(sa.func.min(Recovery.started_at)).where(
        Recovery.account_id == account_id, Recovery.expires_at > clock.now()
    )
    columns = (RecoveryKey.epoch, RecoveryKey.created_at, running.scalar_subquery())
    with one_statement() as connection:
        row = connection.execute(
            sa.select(*columns).where(RecoveryKey.account_id == account_id)
        ).one_or_none()
    return Standing() if row is None else Standing(*row)


def _locked(work: Work, actor: Actor) -> tuple[str, int]:
    lock_own(work, actor)
    found = sa.select(Account.email, Account.epoch).where(Account.id == actor.account_id)
    row = work.execute(found).one()
    return row.email, row.epoch
