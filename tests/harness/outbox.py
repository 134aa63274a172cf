"""Read and open the emails in the outbox."""

import re

from vaultr.database.session import transaction
from vaultr.mail import message
from vaultr.mail.models import Mail

LINK = re.compile(r"^http\S+/verify-email\?token=([A-Za-z0-9_-]+)$", re.M)


def emails(app, to=None):
    """Return all emails (to one address), oldest first, without decoy emails."""
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
    """Return the tokens of all verification emails, oldest first."""
    found = [LINK.search(one.text) for one in emails(app, to)]
    return [match[1] for match in found if match]
