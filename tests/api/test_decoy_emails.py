"""A decoy email causes the same work and counts as a real one, and is not sent."""

import pytest

from tests.harness import mail_servers
from tests.harness.mail_servers import Inbox
from vaultr.database.session import transaction
from vaultr.mail import delivery_job, service
from vaultr.mail.models import Mail
from vaultr.mail.service import Email

EMAIL_MESSAGE = Email("verify-email", "Confirm", "text with a link\n", "<p>link</p>")
ANN, NOBODY = "ann@example.org", "bob@example.org"


@pytest.fixture
def here(app):
    with app.test_request_context():
        yield app


def mails():
    with transaction() as session:
        return session.query(Mail).order_by(Mail.id).all()


def test_decoy_and_real_outbox_rows_look_equal(here):
    service.send(EMAIL_MESSAGE, ANN)
    service.send(EMAIL_MESSAGE, NOBODY, decoy=True)

    one, other = mails()
    assert len(one.sealed) == len(other.sealed)
    assert (one.state, one.kind, one.tries) == (other.state, other.kind, other.tries)


def test_decoy_counts_for_limit_of_its_address(here):
    allowed = [service.send(EMAIL_MESSAGE, NOBODY, decoy=True) for _ in range(6)]

    assert allowed == [True] * 5 + [False]
    assert service.send(EMAIL_MESSAGE, NOBODY) is False


def test_decoy_is_marked_sent_but_not_sent(here, set_to):
    inbox = Inbox()
    service.send(EMAIL_MESSAGE, NOBODY, decoy=True)
    service.send(EMAIL_MESSAGE, ANN)
    with mail_servers.running(inbox) as port:
        set_to(here, smtp_host="127.0.0.1", smtp_port=port, smtp_secure="none")
        delivery_job.run()

    [message] = inbox.messages
    assert message["To"] == ANN
    assert [(mail.state, mail.sealed) for mail in mails()] == [("sent", None)] * 2
