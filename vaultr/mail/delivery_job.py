"""The delivery job: claims an email in the outbox, sends it, and marks it as sent."""

import random
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask_mail import BadHeaderError

from vaultr import clock
from vaultr.app_state import AppSlot
from vaultr.database.session import reading, transaction
from vaultr.mail import message, recipient_limits, sender
from vaultr.mail.models import Mail
from vaultr.observability import logs, metrics
from vaultr.security.keyring import CannotOpen, KeyMissing

BATCH = 20
# Delays between attempts, two days in total. The first delay is longer than an attempt can take,
# because another attempt may start after it.
DELAYS_SECONDS = (120, 240, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400)
MOST_TRIES = len(DELAYS_SECONDS) + 1
KEEP_SENT = timedelta(days=1)
KEEP_DEAD = timedelta(days=30)
UNKNOWN = "outcome-unknown"
_PURGED_AT_ONCE = 500
# Emails to send first, regardless of how many others wait. Kinds are stored in the outbox, so never
# rename one.
_URGENT: Final = Mail.notice | Mail.kind.in_(("recover", "recover-impossible"))
_SENT: dict[str, Any] = {"state": "sent", "sealed": None, "handed_over_at": None, "reason": None}
_ACCEPTED: Final = AppSlot[set[UUID]]("mail.accepted")


@dataclass(frozen=True, slots=True)
class Claim:
    """An email of the current attempt; another attempt may start after `DELAYS_SECONDS`.

    :ivar handed_over: an earlier attempt may have sent it, and its outcome is unknown.
    """

    id: UUID
    kind: str
    sealed: bytes
    message_id: str
    tries: int
    handed_over: bool


class NotSent(Exception):
    """The email was not accepted, or the outcome is unknown.

    :ivar reason: a short reason, such as ``smtp-550``.
    :ivar permanent: whether another attempt would fail too.
    :ivar others_too: whether other emails would fail too, so that this run should end.
    """

    def __init__(self, reason: str, *, permanent: bool, others_too: bool) -> None:
        self.reason = reason
        self.permanent = permanent
        self.others_too = others_too
        super().__init__(reason)


class Superseded(Exception):
    """This attempt took too long, and another process has taken over the email."""


def run() -> bool:
    """Send the emails that are due.

    :return: whether more may be due now.
    """
    _mark_accepted()
    try:
        return all(_send_next() for _ in range(BATCH))
    finally:
        measure()


def purge() -> bool:
    """Delete up to 500 emails: sent ones that no longer count for a limit, and old dead ones.

    :return: whether more may be left.
    """
    now = clock.now()
    counted = max(KEEP_SENT, timedelta(seconds=recipient_limits.longest_window_seconds()))
    sent = sa.and_(Mail.state == "sent", Mail.created_at < now - counted)
    dead = sa.and_(Mail.state == "dead", Mail.created_at < now - KEEP_DEAD)
    expired = sa.select(Mail.id).where(sent | dead).limit(_PURGED_AT_ONCE)
    with transaction() as session:
        deleted = session.execute(sa.delete(Mail).where(Mail.id.in_(expired)).returning(Mail.id))
        return len(deleted.all()) == _PURGED_AT_ONCE


def _send_next() -> bool:
    """Try one email; return whether to continue with the next."""
    claim = _claim(clock.now())
    if claim is None:
        return False
    try:
        _send(claim)
    except NotSent as error:
        _record_failure(claim, error)
        return not error.others_too
    except Superseded:
        logs.warning("mail.superseded", id=claim.id, kind=claim.kind, tries=claim.tries)
        return True
    _accepted().add(claim.id)
    _mark_accepted()
    metrics.MAILS.labels("sent").inc()
    logs.event("mail.sent", id=claim.id, kind=claim.kind, tries=claim.tries)
    return True


def _record_failure(claim: Claim, error: NotSent) -> None:
    """Schedule the next attempt, or mark the email as dead.

    An email of unknown outcome becomes dead, because it could arrive twice. Operators see it in
    `flask mail list` and can retry it.
    """
    unknown = error.reason == UNKNOWN
    dead = error.permanent or unknown or claim.tries >= MOST_TRIES
    values: dict[str, Any] = {"state": "dead" if dead else "waiting", "reason": error.reason}
    _change(claim.id, values if unknown else values | {"handed_over_at": None}, tries=claim.tries)
    metrics.MAILS.labels("dead" if dead else "waits").inc()
    logs.warning(
        "mail.dead" if dead else "mail.waits",
        id=claim.id,
        kind=claim.kind,
        tries=claim.tries,
        reason=error.reason,
        cause=type(error.__cause__).__name__,
    )


def _claim(now: datetime) -> Claim | None:
    due = (
        sa.select(Mail.id, Mail.kind, Mail.sealed, Mail.message_id, Mail.tries, Mail.handed_over_at)
        .where(Mail.state == "waiting", Mail.next_try_at <= now)
        .order_by(Mail.next_try_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with transaction() as session:
        found = (
            session.execute(due.where(_URGENT)).one_or_none() or session.execute(due).one_or_none()
        )
        if found is None:
            return None
        tries = found.tries + 1
        seconds = DELAYS_SECONDS[min(found.tries, len(DELAYS_SECONDS) - 1)]
        delay = seconds * random.uniform(0.9, 1.3)  # nosec B311 # only spreads tries over time
        next_try = now + timedelta(seconds=delay)
        change = sa.update(Mail).where(Mail.id == found.id)
        session.execute(change.values(tries=tries, next_try_at=next_try))
    handed_over = found.handed_over_at is not None
    return Claim(found.id, found.kind, found.sealed or b"", found.message_id, tries, handed_over)


def _send(claim: Claim) -> None:
    """Send one email.

    :raises NotSent: the server did not accept the email.
    :raises Superseded: another process has taken over the email.
    """
    if claim.handed_over:
        raise NotSent(UNKNOWN, permanent=True, others_too=False)
    with classify_errors():
        to, content = message.unseal(claim.id, claim.sealed)
        if to.strip():  # a decoy has no recipient; it only has to take the same time
            sender.send(
                content, to=to, with_id=claim.message_id, on_content=lambda: _hand_over(claim)
            )


@contextmanager
def classify_errors() -> Iterator[None]:
    """Convert errors of sending to `NotSent`, with a short reason.

    :raises NotSent: an email in the block was not accepted.
    """
    try:
        yield
    except KeyMissing as error:  # a new key that this process has not loaded yet
        raise NotSent("no-key", permanent=False, others_too=False) from error
    except CannotOpen as error:
        raise NotSent("unreadable", permanent=True, others_too=False) from error
    except (BadHeaderError, UnicodeError) as error:
        raise NotSent("bad-header", permanent=True, others_too=False) from error
    except sender.OutcomeUnknown as error:
        raise NotSent(UNKNOWN, permanent=True, others_too=True) from error
    except smtplib.SMTPRecipientsRefused as error:
        worst = max(code for code, _ in error.recipients.values())
        raise NotSent(f"smtp-{worst}", permanent=worst >= 500, others_too=False) from error
    except smtplib.SMTPDataError as error:
        raise NotSent(f"smtp-{error.smtp_code}", permanent=False, others_too=False) from error
    except OSError as error:  # no server, the wrong one, or too slow; includes SMTPException
        code = getattr(error, "smtp_code", None)
        reason = f"smtp-{code}" if code else "no-server"
        raise NotSent(reason, permanent=False, others_too=True) from error


def _hand_over(claim: Claim) -> None:
    """Record that the server may have the email from now on."""
    if not _change(claim.id, {"handed_over_at": clock.now()}, tries=claim.tries):
        raise Superseded


def _accepted() -> set[UUID]:
    """Return the accepted emails that are not yet marked in the database."""
    return _ACCEPTED.default(set())


def _mark_accepted() -> None:
    """Mark accepted emails in the database, before anything else is tried."""
    accepted = _accepted()
    for mail_id in list(accepted):
        _change(mail_id, _SENT | {"sent_at": clock.now()})
        accepted.discard(mail_id)


def _change(mail_id: UUID, values: Mapping[str, Any], *, tries: int | None = None) -> bool:
    """Update a row; return whether it exists.

    :param tries: update it only if the email waits and no later attempt has started.
    """
    change = sa.update(Mail).where(Mail.id == mail_id)
    if tries is not None:
        change = change.where(Mail.state == "waiting", Mail.tries == tries)
    with transaction() as session:
        changed = session.execute(
            change.values(**values).returning(Mail.id).execution_options(synchronize_session=False)
        )
        return changed.one_or_none() is not None


def measure() -> None:
    """Set the metrics for the age of the outbox and the number of dead emails."""
    metrics.OUTBOX_AGE.set(oldest_waiting_seconds())
    dead = sa.select(sa.func.count()).where(Mail.state == "dead")
    with reading() as session:
        metrics.DEAD_LETTERS.set(session.execute(dead).scalar_one())


def oldest_waiting_seconds() -> float:
    """Return the age of the oldest waiting email, or 0."""
    oldest = sa.select(sa.func.min(Mail.created_at)).where(Mail.state == "waiting")
    with reading() as session:
        since: datetime | None = session.execute(oldest).scalar_one()
    return max(0.0, (clock.now() - since).total_seconds()) if since is not None else 0.0
