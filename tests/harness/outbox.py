"""The letters in the outbox, opened as the sender will."""

import re

from vaultr.database.session import transaction
from vaultr.mail import message
from vaultr.mail.models import Mail

LINK = re.compile(r"^http\S+/verify-email\?token=([A-Za-z0-9_-]+)$", re.M)


def letters(app, to=None):
    """Give all letters (to one address), the oldest first, without those to nobody."""
    with app.app_context(), transaction() as work:
        rows = (
            work.query(Mail)
            .filter(Mail.sealed.is_not(None))
            .order_by(Mail.created_at, Mail.id)
            .all()
        )
        opened = [message.unseal(row.id, row.sealed) for row in rows]
    return [content for address, content in opened if address.strip() and to in (None, address)]


def tokens(app, to=None):
    """Give the tokens of all verification letters, the oldest first."""
    found = [LINK.search(one.text) for one in letters(app, to)]
    return [match[1] for match in found if match]
