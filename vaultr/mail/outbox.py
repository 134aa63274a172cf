"""The job that empties the outbox: claim one letter, send it, note at once that it is gone."""

import random
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_mail import BadHeaderError

from vaultr import clock, logs, metrics
from vaultr.database.session import reading, transaction
from vaultr.keys import CannotOpen
from vaultr.mail import caps, letter, sender
from vaultr.mail.models import Mail

BATCH = 20
# Between the tries, two days in all. The first is longer than one try can last, since a claimed
# letter is taken for given up after it.
DELAYS_SECONDS = (120, 240, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400)
MOST_TRIES = len(DELAYS_SECONDS) + 1
KEEP_SENT = timedelta(days=1)
KEEP_DEAD = timedelta(days=30)
_ACCEPTED = "vaultr.mail.accepted"


@dataclass(frozen=True, slots=True)
class Claim:
    """A letter that is being tried; after `DELAYS_SECONDS` another try may begin."""

    id: UUID
    kind: str
    sealed: bytes
    message_id: str
    tries: int


class NotSent(Exception):
    """A letter was not accepted."""

    def __init__(self, *, forever: bool, others_too: bool, code: int | None = None) -> None:
        self.forever = forever
        self.others_too = others_too
        self.code = code
        super().__init__()


def run() -> bool:
    """Send what is due.

    :return: whether more may be due at once.
    """
    _mark_accepted()
    try:
        return all(_send_next() for _ in range(BATCH))
    finally:
        measure()


def purge() -> bool:
    """Forget letters that were sent, once they count for no limit, and old dead ones."""
    now = clock.now()
    counted = max(KEEP_SENT, timedelta(seconds=caps.rate().seconds))
    sent = sa.and_(Mail.state == "sent", Mail.created_at < now - counted)
    dead = sa.and_(Mail.state == "dead", Mail.created_at < now - KEEP_DEAD)
    with transaction() as session:
        session.execute(sa.delete(Mail).where(sent | dead))
    return False


def _send_next() -> bool:
    """Try one letter; tell whether to go on with the next."""
    claim = _claim(clock.now())
    if claim is None:
        return False
    try:
        _send(claim)
    except NotSent as error:
        dead = error.forever or claim.tries >= MOST_TRIES
        logs.warning(
            "mail.dead" if dead else "mail.waits",
            id=claim.id,
            kind=claim.kind,
            tries=claim.tries,
            code=error.code,
            reason=type(error.__cause__).__name__,
        )
        if dead:
            _change(claim.id, {"state": "dead"})
        return not error.others_too
    _accepted().add(claim.id)
    _mark_accepted()
    logs.event("mail.sent", id=claim.id, kind=claim.kind, tries=claim.tries)
    return True


def _claim(now: datetime) -> Claim | None:
    due = (
        sa.select(Mail.id, Mail.kind, Mail.sealed, Mail.message_id, Mail.tries)
        .where(Mail.state == "waiting", Mail.next_try_at <= now)
        .order_by(Mail.next_try_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with transaction() as session:
        found = session.execute(due).one_or_none()
        if found is None:
            return None
        tries = found.tries + 1
        seconds = DELAYS_SECONDS[min(found.tries, len(DELAYS_SECONDS) - 1)]
        delay = seconds * random.uniform(0.9, 1.3)  # nosec B311 # only keeps tries apart
        next_try = now + timedelta(seconds=delay)
        change = sa.update(Mail).where(Mail.id == found.id)
        session.execute(change.values(tries=tries, next_try_at=next_try))
    return Claim(found.id, found.kind, found.sealed or b"", found.message_id, tries)


def _send(claim: Claim) -> None:
    """Send one letter.

    :raises NotSent: it was not accepted, and whether that is for ever or for others too.
    """
    try:
        to, content = letter.unseal(claim.id, claim.sealed)
        sender.send(content, to=to, with_id=claim.message_id)
    except (CannotOpen, BadHeaderError, UnicodeError) as error:
        raise NotSent(forever=True, others_too=False) from error
    except smtplib.SMTPRecipientsRefused as error:
        worst = max(code for code, _ in error.recipients.values())
        raise NotSent(forever=worst >= 500, others_too=False, code=worst) from error
    except smtplib.SMTPDataError as error:
        raise NotSent(forever=False, others_too=False, code=error.smtp_code) from error
    except OSError as error:  # no server, not the right one, too slow; what smtplib raises is one
        code = getattr(error, "smtp_code", None)
        raise NotSent(forever=False, others_too=True, code=code) from error


def _accepted() -> set[UUID]:
    """Give the letters that a server accepted, which the database does not know yet."""
    return cast("set[UUID]", current_app.extensions.setdefault(_ACCEPTED, set()))


def _mark_accepted() -> None:
    """Note in the database what was accepted, before anything else is tried."""
    accepted = _accepted()
    for mail_id in list(accepted):
        _change(mail_id, {"state": "sent", "sealed": None, "sent_at": clock.now()})
        accepted.discard(mail_id)


def _change(mail_id: UUID, values: Mapping[str, Any]) -> None:
    with transaction() as session:
        session.execute(sa.update(Mail).where(Mail.id == mail_id).values(**values))


def measure() -> None:
    """Tell how old the oldest waiting letter is, and how many were given up."""
    metrics.OUTBOX_AGE.set(oldest_waiting_seconds())
    dead = sa.select(sa.func.count()).where(Mail.state == "dead")
    with reading() as session:
        metrics.DEAD_LETTERS.set(session.execute(dead).scalar_one())


def oldest_waiting_seconds() -> float:
    """Give the age of the oldest letter that waits; 0 if none does."""
    oldest = sa.select(sa.func.min(Mail.created_at)).where(Mail.state == "waiting")
    with reading() as session:
        since: datetime | None = session.execute(oldest).scalar_one()
    return max(0.0, (clock.now() - since).total_seconds()) if since is not None else 0.0
