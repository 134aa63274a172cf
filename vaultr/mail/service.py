"""What the other rooms use: put a letter into the outbox, in the transaction it tells of."""

import sqlalchemy as sa
from uuid6 import uuid7

from vaultr import clock
from vaultr.database.session import transaction
from vaultr.mail import message, recipient_limits, sender, worker_wakeup
from vaultr.mail.message import Letter
from vaultr.mail.models import Mail

__all__ = ["Letter", "send", "send_all"]


def send(content: Letter, to: str, *, pretend: bool = False) -> bool:
    """Put a letter into the outbox; it goes out when this transaction has been committed.

    Strangers cannot fill a mailbox: beyond LIMIT_MAIL a recipient gets no more. Security notices
    are counted apart, and one of a kind and hour is always sent.

    :param to: one address, which the caller has checked.
    :param pretend: do the same work and count it alike, but send nothing: neither time nor a
        limit then tells a caller that there is nobody to write to. The outbox gets a row of the
        same size; who empties it finds that it is for nobody.
    :return: whether it will be sent, or would be.
    :raises ValueError: a line break in address or subject, or one of them is empty.
    """
    for line in (to, content.subject):
        if not line or "\n" in line or "\r" in line:
            raise ValueError("an address and a subject are one line")
    with transaction() as session:
        now, recipients, mail_id = clock.now(), message.recipient_hashes(to), uuid7()
        if not recipient_limits.allow(session, content, recipients, now):
            return False
        sealed = message.seal(mail_id, content, to, pretend=pretend)
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


def send_all(*letters: tuple[Letter, str]) -> None:
    """Put letters to several addresses into the outbox, as `send` does.

    Each address is locked while its letters are counted. They are locked in one order, so that
    two transactions which write to the same ones never wait for each other in a circle.
    """
    for content, to in sorted(letters, key=lambda one: min(message.recipient_hashes(one[1]))):
        send(content, to)
