"""An email with an unknown outcome is not sent again automatically, and operators see it."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine

from tests.harness import app_fixtures, mail_servers, servers
from tests.harness.mail_servers import Inbox
from vaultr import clock
from vaultr.database.session import db, transaction
from vaultr.mail import delivery_job, service, transports
from vaultr.mail.delivery_job import Superseded
from vaultr.mail.message import Email
from vaultr.mail.models import Mail

pytestmark = pytest.mark.both_databases
ANN = "ann@example.org"
EMAIL_MESSAGE = Email("verify-email", "Confirm", "a link\n", "<p>a link</p>")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def smtp(here, set_to):
    def to(port):
        set_to(here, smtp_host="localhost", smtp_port=port, smtp_secure="none")

    return to


def rows():
    with transaction() as session:
        columns = Mail.state, Mail.reason, Mail.tries, Mail.handed_over_at
        return session.execute(sa.select(*columns).order_by(Mail.created_at)).all()


def later(**more):
    return time_machine.travel(clock.now() + timedelta(**more))


class HangingUp(Inbox):
    """Accepts an email, and disconnects before it responds."""

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd calls it so
        await super().handle_DATA(server, session, envelope)
        server.transport.abort()
        return "250 OK"


def test_possibly_accepted_email_is_not_resent(here, smtp):
    inbox = HangingUp()
    service.send(EMAIL_MESSAGE, ANN)
    with mail_servers.running(inbox) as port:
        smtp(port)
        delivery_job.run()
        for hours in (1, 24):
            with later(hours=hours):
                delivery_job.run()

    assert [(row.state, row.reason, row.tries) for row in rows()] == [
        ("dead", "outcome-unknown", 1)
    ]
    assert len(inbox.messages) == 1


def test_client_waits_longer_for_response_to_content(here, smtp, monkeypatch):
    class Slow(Inbox):
        async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd calls it so
            await asyncio.sleep(3)
            return await super().handle_DATA(server, session, envelope)

    monkeypatch.setattr(transports, "STEP_SECONDS", 2.0)
    service.send(EMAIL_MESSAGE, ANN)
    with mail_servers.running(Slow()) as port:
        smtp(port)
        delivery_job.run()

    assert [row.state for row in rows()] == ["sent"]


def test_email_with_temporary_rejection_is_retried(here, smtp):
    inbox = Inbox("451 later")
    service.send(EMAIL_MESSAGE, ANN)
    with mail_servers.running(inbox) as port:
        smtp(port)
        delivery_job.run()

        [row] = rows()
        assert (row.state, row.reason, row.handed_over_at) == ("waiting", "smtp-451", None)
        inbox.answer = "250 OK"
        with later(hours=1):
            delivery_job.run()

    assert [(row.state, row.reason, row.tries) for row in rows()] == [("sent", None, 2)]


def test_stalled_sender_sends_nothing_more(here, smtp):
    """Another process has taken over its email: it notices just before sending the content."""
    service.send(EMAIL_MESSAGE, ANN)
    inbox = Inbox()
    stale = delivery_job._claim(clock.now())
    with mail_servers.running(inbox) as port:
        smtp(port)
        with later(hours=1):
            delivery_job.run()
        with pytest.raises(Superseded):
            delivery_job._send(stale)

    assert len(inbox.messages) == 1
    assert [row.state for row in rows()] == ["sent"]


def test_database_outage_before_content_withholds_the_email(here, smtp, monkeypatch):
    def away(_claim):
        raise sa.exc.OperationalError("", {}, Exception())

    service.send(EMAIL_MESSAGE, ANN)
    inbox = Inbox()
    with mail_servers.running(inbox) as port:
        smtp(port)
        monkeypatch.setattr(delivery_job, "_hand_over", away)
        with pytest.raises(sa.exc.OperationalError):
            delivery_job.run()
        monkeypatch.undo()
        smtp(port)
        with later(hours=1):
            delivery_job.run()

    assert len(inbox.messages) == 1
    assert [row.state for row in rows()] == ["sent"]


def test_decoy_email_is_never_sent(here, smtp):
    service.send(EMAIL_MESSAGE, ANN, decoy=True)
    inbox = Inbox()
    with mail_servers.running(inbox) as port:
        smtp(port)
        delivery_job.run()

    assert inbox.messages == []
    assert [row.state for row in rows()] == ["sent"]


def test_expired_emails_are_purged_in_batches(here, monkeypatch):
    monkeypatch.setattr(delivery_job, "_PURGED_AT_ONCE", 2)
    for number in range(3):
        service.send(EMAIL_MESSAGE, f"{number}@example.org")
    with transaction() as session:
        session.execute(sa.update(Mail).values(state="sent", sealed=None))

    with later(days=2):
        assert [delivery_job.purge(), delivery_job.purge()] == [True, False]
    assert rows() == []


@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
@pytest.mark.matrix(1)
def test_sender_killed_at_any_point_sends_no_email_twice(database, postgres_url, tmp_path, count):
    more = {"LIMIT_MAIL": "100000/60"}
    if database == "postgresql":
        more["DATABASE_URL"] = servers.fresh_database(postgres_url)
    inbox = Inbox()
    with mail_servers.running(inbox) as port:
        more |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port), "SMTP_SECURE": "none"}
        environ = app_fixtures.environ_for(tmp_path, **more)
        app = app_fixtures.built(environ)
        done = subprocess.run(
            [sys.executable, "-m", "tests.harness.killed_mail_sender", str(count(23, many=1))],
            cwd=ROOT, env={**environ, "PATH": os.environ["PATH"]}, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr

    with app.app_context():
        emails = rows()
        db.session.remove()
        db.engine.dispose()
    times = Counter(message["Message-ID"] for message in inbox.messages)
    assert int(done.stdout.splitlines()[-1]) > 10
    assert max(times.values()) == 1
    assert {row.state for row in emails} <= {"sent", "dead"}
    assert {row.reason for row in emails if row.state == "dead"} <= {"outcome-unknown"}
    accepted = len(inbox.messages)
    assert sum(row.state == "sent" for row in emails) <= accepted
    # Only a few lines run between recording the hand-over and recording the result.
    assert accepted >= len(emails) * 0.6
