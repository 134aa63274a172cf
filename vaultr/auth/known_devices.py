"""Devices that an account is known on; the first use of a new one is mailed to its owner."""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.emails import devices as device_letters
from vaultr.auth.emails.devices import Use
from vaultr.auth.models import KnownDevice
from vaultr.auth.queries import Owner
from vaultr.mail import service as mail

# Who has just confirmed the signup's letter need not be told of the device of that signup.
_JUST_MADE: Final = timedelta(hours=1)


def tell_if_new(work: Work, owner: Owner, device_hash: bytes, name: str) -> None:
    """Mail an owner if a device signs in that never did before, ahead of its first session.

    The account is locked, so that of parallel logins with one new device one tells of it.
    """
    known = work.execute(
        sa.select(
            sa.func.count(),
            sa.func.count().filter(KnownDevice.device_hash == device_hash),
        ).where(KnownDevice.account_id == owner.id)
    ).one()
    devices, this_one = known
    first = devices == 0 and clock.now() - owner.created_at < _JUST_MADE
    if not this_one and not first:
        mail.send(device_letters.new_device(Use.here(name)), owner.email)
