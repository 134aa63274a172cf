"""What of mails ends by itself: letters that were sent, and old ones that were given up."""

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from vaultr.database.expiry import Chore, Conditions
from vaultr.mail import caps, outbox
from vaultr.mail.models import Mail


def _over(now: datetime) -> Conditions:
    kept = max(outbox.KEEP_SENT, timedelta(seconds=caps.rate().seconds))
    sent = sa.and_(Mail.state == "sent", Mail.created_at < now - kept)
    return (sent | sa.and_(Mail.state == "dead", Mail.created_at < now - outbox.KEEP_DEAD),)


CHORES: Final = (Chore("mails", _over, outbox.purge),)
