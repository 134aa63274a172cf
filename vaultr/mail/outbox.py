"""The outbox: stores an email in the transaction of the change that it reports."""

import sqlalchemy as sa
from uuid6 import uuid7

from vaultr import clock
from vaultr.database.session import transaction
from vaultr.mail import message, recipient_limits, sender, worker_wakeup
from vaultr.mail.message import Email
from vaultr.mail.models import Mail

__all__ = ["Email", "send", "send_all"]


def send(content: Email, to: str, *, decoy: bool = False) -> bool:
    """Store an email in the outbox; it is sent after this transaction has been committed.

    Nobody can flood a mailbox: LIMIT_MAIL limits the emails to each recipient. Security notices are
    counted separately, and one of each kind per hour is always sent.

    :param to: one address, which the caller has checked.
    :param decoy: do the same work and count it, but send nothing, so that neither timing nor limits
        show whether a recipient exists. The row in the outbox has the same size.
    :return: whether the email will be sent; for a decoy, whether it would be.
    :raises ValueError: address or subject is empty or contains a line break.
    """
    for line in (to, content.subject):
        if not line or "\n" in line or "\r" in line:
            raise ValueError("address and subject must be single lines")
    with transaction() as session:
        now, recipients, mail_id = clock.now(), message.recipient_hashes(to), uuid7()
        if not recipient_limits.allow(session, content, recipients, now):
            return False
        sealed = message.seal(mail_id, content, to, decoy=decoy)
        row = sa.insert(Mail).values(
            id=mail_id,
            kind=content.kind,
            notice=content.notice,
            recipient=recipients[0],
            sealed=sealed,
            message_id=sender.message_id(mail_id),
            state="waiting",
            tries=0,
            created_at=now,
            next_try_at=now,
        )
        session.execute(row)
        worker_wakeup.after_transaction(session)
    return True


def send_all(*emails: tuple[Email, str]) -> None:
    """Store emails to several addresses in the outbox, as `send` does.

    Each address is locked while its emails are counted, always in the same order, which avoids
    deadlocks.
    """
    for content, to in sorted(emails, key=lambda one: min(message.recipient_hashes(one[1]))):
        send(content, to)
