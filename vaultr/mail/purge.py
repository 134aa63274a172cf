"""Purges of sent emails and of old dead ones."""

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from vaultr.database.purge import Conditions, PurgeRule
from vaultr.mail import delivery_job, recipient_limits
from vaultr.mail.models import Mail


def _expired(now: datetime) -> Conditions:
    retention = max(
        delivery_job.KEEP_SENT, timedelta(seconds=recipient_limits.longest_window_seconds())
    )
    sent = sa.and_(Mail.state == "sent", Mail.created_at < now - retention)
    return (sent | sa.and_(Mail.state == "dead", Mail.created_at < now - delivery_job.KEEP_DEAD),)


PURGES: Final = (PurgeRule("mails", _expired, delivery_job.purge),)
