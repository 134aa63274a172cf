"""Limits of emails for each recipient, counted in the outbox, so they hold without Redis."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.database.session import postgresql
from vaultr.mail.message import Email
from vaultr.mail.models import Mail
from vaultr.settings.model import current_settings
from vaultr.settings.types import Rate

_NOTICE_EVERY = timedelta(hours=1)


def rate() -> Rate:
    """Return the limit."""
    settings = current_settings()
    return settings.limit_mail


def allow(session: Session, email: Email, recipients: Sequence[bytes], now: datetime) -> bool:
    """Check whether one more email may go to the recipient with these hashes.

    Parallel transactions wait for each other, so each counts the emails of the others.
    """
    if postgresql():
        lock = sa.text("SELECT pg_advisory_xact_lock(:key)")
        session.execute(lock, {"key": int.from_bytes(min(recipients)[:8], signed=True)})
    limit = rate()
    of_recipient = sa.and_(Mail.recipient.in_(recipients), Mail.notice == email.notice)
    if email.notice and not _any(
        session, of_recipient, Mail.kind == email.kind, Mail.created_at > now - _NOTICE_EVERY
    ):
        return True
    since = now - timedelta(seconds=limit.seconds)
    counted = sa.select(sa.func.count()).where(of_recipient, Mail.created_at > since)
    return session.execute(counted).scalar_one() < limit.count


def _any(session: Session, *conditions: sa.ColumnElement[bool]) -> bool:
    return session.execute(sa.select(sa.exists().where(*conditions))).scalar_one()
