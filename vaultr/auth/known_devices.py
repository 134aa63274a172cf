"""Known devices of an account; the owner gets an email when a new one logs in."""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.emails import devices as emails
from vaultr.auth.emails.devices import DeviceUse
from vaultr.auth.models import KnownDevice
from vaultr.auth.queries import Owner
from vaultr.mail import service as mail

# An owner who has just confirmed a signup knows about the device of that signup.
_SIGNUP_GRACE: Final = timedelta(hours=1)


def notify_if_new(work: Work, owner: Owner, device_hash: bytes, name: str) -> None:
    """Email the owner if this device has never logged in; call before its first session starts.

    The account is locked, so one of several parallel logins by a new device sends the email.
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
