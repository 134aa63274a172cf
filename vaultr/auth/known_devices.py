"""Known devices of an account; the owner gets an email when a new one logs in."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.emails import devices as emails
from vaultr.auth.emails.devices import DeviceUse
from vaultr.auth.models import KnownDevice
from vaultr.auth.queries import Owner
from vaultr.database.session import transaction
from vaultr.mail import service as mail

UNUSED: Final = timedelta(days=365)
# An owner who has just confirmed a signup knows about the device of the signup.
_SIGNUP_GRACE: Final = timedelta(hours=1)


def notify_if_new(work: Work, owner: Owner, device_hash: bytes, name: str) -> None:
    """Email the owner if this device has never logged in. Call it before its first session starts.

    The account is locked, so only one of several parallel logins by a new device sends the email.
    """
    known = work.execute(
        sa.select(
            sa.func.count(),
            sa.func.count().filter(KnownDevice.device_hash == device_hash),
        ).where(KnownDevice.account_id == owner.id)
    ).one()
    devices, this_one = known
    first = devices == 0 and clock.now() - owner.created_at < _SIGNUP_GRACE
    if not this_one and not first:
        mail.send(emails.new_device(DeviceUse.here(name)), owner.email)


def drop_oldest(work: Work, account_id: UUID, device_hash: bytes, quota: int) -> None:
    """Delete the least recently used devices of an account, so that one more fits the quota."""
    others = (
        sa.select(KnownDevice.device_hash)
        .where(KnownDevice.account_id == account_id, KnownDevice.device_hash != device_hash)
        .order_by(KnownDevice.last_used_at.desc(), KnownDevice.device_hash)
        .offset(quota - 1)
    )
    excess = work.scalars(others).all()
    if excess:
        work.execute(
            sa.delete(KnownDevice).where(
                KnownDevice.account_id == account_id, KnownDevice.device_hash.in_(excess)
            )
        )


def forget_all(work: Work, account_id: UUID) -> None:
    """Forget all devices of a locked account; each counts as unknown until its next login."""
    work.execute(sa.delete(KnownDevice).where(KnownDevice.account_id == account_id))


def remove_unused() -> bool:
    """Delete up to 500 devices unused for a year; return whether more may be left."""
    most = 500
    key = sa.tuple_(KnownDevice.account_id, KnownDevice.device_hash)
    with transaction() as work:
        unused = (
            sa.select(KnownDevice.account_id, KnownDevice.device_hash)
            .where(KnownDevice.last_used_at < clock.now() - UNUSED)
            .limit(most)
            .with_for_update(skip_locked=True)  # avoids deadlocks
        )
        deleted = work.execute(
            sa.delete(KnownDevice).where(key.in_(unused)).returning(KnownDevice.device_hash)
        )
        return len(deleted.all()) == most
