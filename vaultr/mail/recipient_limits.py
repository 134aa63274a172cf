"""Limits of emails for each recipient, counted in the outbox, so that they work without Redis."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.database.session import postgresql
from vaultr.mail.message import Email
from vaultr.mail.models import Mail
from vaultr.settings.model import current_settings
from vaultr.settings.types import Rate

_NOTICE_EVERY = timedelta(hours=1)


# Kinds of email with their own limit, and the setting for it. Kinds are stored in the outbox, so
# never rename one.
_OWN_LIMITS: Final = {"existing-owner": "limit_mail_owner"}


def rate(kind: str = "") -> Rate:
    """Return the limit of a kind of email."""
    limit: Rate = getattr(current_settings(), _OWN_LIMITS.get(kind, "limit_mail"))
    return limit


def longest_window_seconds() -> int:
    """Return the longest time, in seconds, for which an email counts."""
    return max(rate(kind).seconds for kind in ("", *_OWN_LIMITS))


def allow(session: Session, email: Email, recipients: Sequence[bytes], now: datetime) -> bool:
    """Check whether one more email may go to the recipient with these hashes.

    Each kind of email that anybody can trigger has its own limit, so that requests of one kind do
    not use up another. Security notices share one limit.

    Parallel transactions run one after the other, so each one counts the others' emails.
    """
    if postgresql():
        lock = sa.text("SELECT pg_advisory_xact_lock(:key)")
        session.execute(lock, {"key": int.from_bytes(min(recipients)[:8], signed=True)})
    limit = rate(email.kind)
    same = Mail.notice if email.notice else sa.and_(~Mail.notice, Mail.kind == email.kind)
    of_recipient = sa.and_(Mail.recipient.in_(recipients), same)
    if email.notice and not _exists(
        session, of_recipient, Mail.kind == email.kind, Mail.created_at > now - _NOTICE_EVERY
    ):
        return True
    since = now - timedelta(seconds=limit.seconds)
    counted = sa.select(sa.func.count()).where(of_recipient, Mail.created_at > since)
    return session.execute(counted).scalar_one() < limit.count


def _exists(session: Session, *conditions: sa.ColumnElement[bool]) -> bool:
    return session.execute(sa.select(sa.exists().where(*conditions))).scalar_one()
