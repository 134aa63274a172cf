"""Emails are committed with their change, wait sealed, and are sent once within limits."""

import contextlib
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from tests.harness import mail_servers
from tests.harness.mail_servers import Inbox
from vaultr import clock
from vaultr.database.session import db, transaction
from vaultr.mail import delivery_job, service
from vaultr.mail.message import Email, unseal
from vaultr.mail.models import Mail

pytestmark = pytest.mark.both_databases
ANN = "ann@example.org"
EMAIL_MESSAGE = Email("verify-email", "Confirm", "a link\n", "<p>a link</p>")
NOTICE = Email("login-notice", "A login", "a notice\n", "<p>a notice</p>", notice=True)


@pytest.fixture
def smtp(here):
    """Send emails of the app to a local port, and restore its settings afterwards."""
    before = here.config["SETTINGS"]

    def to(port):
        changed = {"smtp_host": "localhost", "smtp_port": port, "smtp_secure": "none"}
        here.config["SETTINGS"] = before.model_copy(update=changed)
        here.extensions["mail"].server, here.extensions["mail"].port = "localhost", port

    yield to
    here.config["SETTINGS"] = before


def mails():
    db.session.rollback()
    found = db.session.scalars(sa.select(Mail).order_by(Mail.created_at)).all()
    db.session.rollback()
    return found


def later(**more):
    return time_machine.travel(clock.now() + timedelta(**more))


@contextlib.contextmanager
def rejected_update_of_sent_state():
    """Make the database reject the update that marks an email as sent."""
    check = "state <> 'sent'"
    with db.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            does = (
                f"BEFORE UPDATE ON mails WHEN NOT (new.{check}) BEGIN SELECT RAISE(FAIL, ''); END"
            )
            connection.execute(sa.text(f"CREATE TRIGGER refuse {does}"))
        else:
            connection.execute(sa.text(f"ALTER TABLE mails ADD CONSTRAINT refuse CHECK ({check})"))
    yield
    with db.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(sa.text("DROP TRIGGER refuse"))
        else:
            connection.execute(sa.text("ALTER TABLE mails DROP CONSTRAINT refuse"))


def test_email_is_stored_sealed_for_its_recipient(here):
    service.send(EMAIL_MESSAGE, ANN)

    [mail] = mails()
    assert (mail.kind, mail.state, mail.tries) == ("verify-email", "waiting", 0)
    assert b"ann" not in mail.sealed + mail.recipient
    assert b"link" not in mail.sealed
    assert unseal(mail.id, mail.sealed) == (ANN, EMAIL_MESSAGE)


def test_email_of_rolled_back_transaction_is_not_sent(here):
    with contextlib.suppress(ZeroDivisionError), transaction():
        service.send(EMAIL_MESSAGE, ANN)
        raise ZeroDivisionError

    assert mails() == []


@pytest.mark.parametrize(
    ("to", "subject"), [("a@b\nBcc: c@d", "s"), ("", "s"), ("a@b", "s\r\nBcc: c@d"), ("a@b", "")]
)
def test_multi_line_email_header_is_rejected(here, to, subject):
    with pytest.raises(ValueError, match="single lines"):
        service.send(Email("verify-email", subject, "", ""), to)


def test_anonymous_requests_cannot_flood_a_mailbox(here):
    sent = [
        service.send(EMAIL_MESSAGE, to)
        for to in [ANN] * 6 + [" Ann@Example.org", "bob@example.org"]
    ]

    assert sent == [True] * 5 + [False, False, True]
    with later(hours=1, seconds=1):
        assert service.send(EMAIL_MESSAGE, ANN)


def test_security_notices_are_counted_separately(here):
    for _ in range(6):
        service.send(EMAIL_MESSAGE, ANN)
    notices = [service.send(NOTICE, ANN) for _ in range(6)]

    assert notices == [True] * 5 + [False]


def test_one_notice_per_kind_and_hour_is_always_sent(here):
    for _ in range(6):
        service.send(NOTICE, ANN)
    other = Email("reuse-notice", "Reused", "", "", notice=True)

    assert [service.send(other, ANN) for _ in range(2)] == [True, False]


def test_recipient_limit_holds_for_parallel_requests(here):
    started, sent = threading.Barrier(8), []

    def work():
        with here.app_context():
            started.wait()
            sent.append(service.send(EMAIL_MESSAGE, ANN))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(sent) == [False] * 3 + [True] * 5


def test_email_is_sent_once_and_wiped(here, smtp):
    inbox = Inbox()
    service.send(EMAIL_MESSAGE, ANN)
    with mail_servers.running(inbox) as port:
        smtp(port)
        delivery_job.run()
        delivery_job.run()

    [mail], [message] = mails(), inbox.messages
    assert (mail.state, mail.sealed, mail.tries) == ("sent", None, 1)
    assert mail.sent_at is not None
    assert message["Message-ID"] == mail.message_id == f"<{mail.id}@localhost>"


def test_temporarily_rejected_email_is_retried_later(here, smtp):
    inbox = Inbox("451 later")
    service.send(EMAIL_MESSAGE, ANN)
    with mail_servers.running(inbox) as port:
        smtp(port)
        delivery_job.run()
        delivery_job.run()
        assert [mail.tries for mail in mails()] == [1]
        inbox.answer = "250 OK"
        with later(minutes=5):
            delivery_job.run()

    assert [(mail.state, mail.tries) for mail in mails()] == [("sent", 2)]
    assert len(inbox.messages) == 1


def test_permanently_rejected_recipient_makes_email_dead(here, smtp):
    with mail_servers.running(Inbox(rcpt="550 no such user")) as port:
        smtp(port)
        service.send(EMAIL_MESSAGE, ANN)
        delivery_job.run()

    assert [mail.state for mail in mails()] == ["dead"]


def test_email_expires_after_two_days(here, smtp):
    smtp(1)  # where nothing listens
    service.send(EMAIL_MESSAGE, ANN)
    began, now = clock.now(), clock.now()
    while mails()[0].state == "waiting":
        with time_machine.travel(now := mails()[0].next_try_at + timedelta(seconds=1)):
            delivery_job.run()

    assert mails()[0].tries == delivery_job.MOST_TRIES
    assert timedelta(days=1.5) < now - began < timedelta(days=3)


def test_server_outage_tries_one_email_and_keeps_others(here, smtp):
    smtp(1)
    for name in ("ann", "bob", "cleo"):
        service.send(EMAIL_MESSAGE, f"{name}@example.org")
    delivery_job.run()

    assert sorted(mail.tries for mail in mails()) == [0, 0, 1]


def test_rejected_recipient_does_not_delay_the_others(here, smtp):
    class Picky(Inbox):
        async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd calls it so
            self.rcpt = "450 full" if address == ANN else "250 OK"
            return await super().handle_RCPT(server, session, envelope, address, options)

    for to in (ANN, "bob@example.org"):
        service.send(EMAIL_MESSAGE, to)
    with mail_servers.running(Picky()) as port:
        smtp(port)
        delivery_job.run()

    assert [mail.state for mail in mails()] == ["waiting", "sent"]


def test_accepted_email_is_not_resent_if_recording_failed(here, smtp):
    service.send(EMAIL_MESSAGE, ANN)
    inbox = Inbox()
    with mail_servers.running(inbox) as port:
        smtp(port)
        with rejected_update_of_sent_state(), pytest.raises(sa.exc.DBAPIError):
            delivery_job.run()
        with later(minutes=5):
            delivery_job.run()

    assert len(inbox.messages) == 1
    assert [mail.state for mail in mails()] == ["sent"]


def test_modified_email_is_dead(here):
    service.send(EMAIL_MESSAGE, ANN)
    with transaction() as session:
        session.execute(sa.update(Mail).values(sealed=b"\x04testnothing"))
    delivery_job.run()

    assert [(mail.state, mail.reason) for mail in mails()] == [("dead", "unreadable")]


def test_email_under_unknown_key_waits_for_the_key(here):
    service.send(EMAIL_MESSAGE, ANN)
    whole = mails()[0].sealed
    with transaction() as session:
        session.execute(sa.update(Mail).values(sealed=b"\x04next" + whole[5:]))
    delivery_job.run()

    assert [(mail.state, mail.reason) for mail in mails()] == [("waiting", "no-key")]
    with transaction() as session:
        session.execute(sa.update(Mail).values(sealed=whole))
    with later(hours=1):
        delivery_job.run()
    assert [mail.state for mail in mails()] == ["sent"]


def test_sent_emails_expire_after_a_day_dead_after_a_month(here):
    service.send(EMAIL_MESSAGE, ANN)
    service.send(EMAIL_MESSAGE, "bob@example.org")
    delivery_job.run()
    with transaction() as session:
        session.execute(sa.update(Mail).where(Mail.kind == "verify-email").values(state="sent"))
        dead = sa.select(Mail.id).limit(1).scalar_subquery()
        session.execute(sa.update(Mail).where(Mail.id == dead).values(state="dead"))

    left = []
    for days in (0, 1.1, 31):
        with later(days=days):
            delivery_job.purge()
        left.append([mail.state for mail in mails()])

    assert [sorted(one) for one in left] == [["dead", "sent"], ["dead"], []]


def test_each_kind_of_email_has_a_separate_limit(here):
    kinds = [replace(EMAIL_MESSAGE, kind=kind) for kind in ("verify-email", "recover")]
    sent = [service.send(one, ANN) for one in kinds for _ in range(6)]

    assert sent == ([True] * 5 + [False]) * 2


def test_owner_gets_one_notice_of_a_signup_an_hour(here):
    notice = replace(EMAIL_MESSAGE, kind="existing-owner")
    sent = [service.send(notice, ANN) for _ in range(2)]

    assert sent == [True, False]


def test_spellings_of_a_domain_share_one_limit(here):
    spellings = ["ann@b\u00fccher.example", "ann@xn--bcher-kva.example"] * 3
    sent = [service.send(EMAIL_MESSAGE, one) for one in spellings]

    assert sent == [True] * 5 + [False]


def test_notices_and_recovery_emails_are_sent_first(here, smtp):
    for content in (EMAIL_MESSAGE, EMAIL_MESSAGE, NOTICE, replace(EMAIL_MESSAGE, kind="recover")):
        service.send(content, ANN)

    with mail_servers.running(Inbox()) as port:
        smtp(port)
        delivery_job.run()

    order = [mail.kind for mail in sorted(mails(), key=lambda mail: mail.sent_at)]
    assert set(order[:2]) == {NOTICE.kind, "recover"}
