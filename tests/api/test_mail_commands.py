"""`flask mail`: what an operator sees of the outbox, and can do with it."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests.harness import mail_servers
from tests.harness.mail_servers import Inbox
from vaultr import clock
from vaultr.database.session import transaction
from vaultr.mail import delivery_job, service
from vaultr.mail.commands import mail
from vaultr.mail.message import Email
from vaultr.mail.models import Mail

ANN, BOB = "ann@example.org", "bob@example.org"
EMAIL_MESSAGE = Email("verify-email", "Confirm", "hunter2\n", "<p>hunter2</p>")


@pytest.fixture
def smtp(app, set_to):
    def to(port, **more):
        set_to(app, smtp_host="localhost", smtp_port=port, smtp_secure="none", **more)

    return to


def run(app, *arguments):
    return app.test_cli_runner().invoke(mail, arguments)


def listed(app, *arguments):
    done = run(app, "list", "--json", *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def rejected_emails(app, smtp, *recipients):
    """Make the mail server reject emails permanently."""
    with mail_servers.running(Inbox(rcpt="550 no such user")) as port, app.app_context():
        smtp(port)
        for to in recipients:
            service.send(EMAIL_MESSAGE, to)
        delivery_job.run()


def test_waiting_and_dead_emails_are_listed_with_reason(app, smtp):
    rejected_emails(app, smtp, ANN)
    with app.app_context():
        smtp(1)
        service.send(EMAIL_MESSAGE, BOB)
        delivery_job.run()

    dead, waiting = listed(app)

    assert (dead["state"], dead["reason"], dead["tries"]) == ("dead", "smtp-550", 1)
    assert (waiting["state"], waiting["reason"], waiting["tries"]) == ("waiting", "no-server", 1)
    assert dead["next_try_at"] is None
    assert waiting["next_try_at"].endswith("Z")
    assert listed(app, "--dead") == [dead]
    assert dead["id"] in run(app, "list").stdout


def test_truncated_list_shows_option_to_continue(app):
    with app.app_context():
        for _ in range(5):
            service.send(EMAIL_MESSAGE, ANN)
    everything = [one["id"] for one in listed(app)]

    text = run(app, "list", "--limit", "2")
    page = run(app, "list", "--limit", "2", "--json")

    more = f"More than 2 emails exist. Continue with --after {everything[1]}\n"
    assert text.stdout.endswith(more)
    assert [line.split()[0] for line in text.stdout.splitlines()[:2]] == everything[:2]
    assert [one["id"] for one in json.loads(page.stdout)] == everything[:2]
    assert (page.stderr, page.exit_code) == (more, 0)
    rest = run(app, "list", "--after", everything[1], "--limit", "3", "--json")
    assert [one["id"] for one in json.loads(rest.stdout)] == everything[2:]
    assert rest.stderr == ""
    assert listed(app, "--after", everything[-1]) == []
    assert run(app, "list", "--after", everything[-1]).stdout == "No more emails.\n"


def test_list_without_limit_ends_at_a_thousand_emails(app):
    with app.app_context(), transaction() as session:
        now = clock.now()
        row = {
            "kind": "greeting", "notice": False, "recipient": b"r", "sealed": b"", "tries": 0,
            "message_id": "m", "state": "waiting", "created_at": now, "next_try_at": now,
        }  # fmt: skip
        session.execute(sa.insert(Mail), [{"id": UUID(int=one), **row} for one in range(1001)])

    output = run(app, "list").stdout.splitlines()

    assert output[1000] == f"More than 1000 emails exist. Continue with --after {UUID(int=999)}"
    assert len(output) == 1001
    assert run(app, "list", "--limit", "1001").exit_code == 2


def test_mail_list_hides_addresses_and_contents(app, smtp):
    rejected_emails(app, smtp, ANN)

    shown = run(app, "list").output + run(app, "list", "--json", "--all").output

    assert "example.org" not in shown
    assert "hunter2" not in shown


def test_list_of_empty_outbox_reports_it_is_empty(app):
    assert "No emails are waiting" in run(app, "list").stdout
    assert listed(app) == []
    assert run(app, "list", "--all", "--dead").exit_code == 2


def test_sent_emails_are_listed_only_with_option(app, smtp):
    with mail_servers.running(Inbox()) as port, app.app_context():
        smtp(port)
        service.send(EMAIL_MESSAGE, ANN)
        delivery_job.run()

    assert listed(app) == []
    assert [one["state"] for one in listed(app, "--all")] == ["sent"]


def test_dead_email_is_retried_on_operator_request(app, smtp):
    rejected_emails(app, smtp, ANN, BOB)
    first, second = listed(app)

    done = run(app, "retry", first["id"], "--json")

    assert json.loads(done.stdout) == {"again": [first["id"]], "missing": []}
    inbox = Inbox()
    with mail_servers.running(inbox) as port, app.app_context():
        smtp(port)
        delivery_job.run()
    assert inbox.recipients == [ANN]
    assert [one["id"] for one in listed(app)] == [second["id"]]


def test_all_dead_emails_are_retried_like_new_ones(app, smtp):
    rejected_emails(app, smtp, ANN, BOB)
    with app.app_context(), transaction() as session:
        session.execute(sa.update(Mail).values(tries=delivery_job.MOST_TRIES))

    assert "2 emails will be sent now" in run(app, "retry", "--dead").stdout

    assert [(one["state"], one["tries"], one["reason"]) for one in listed(app)] == [
        ("waiting", 0, None)
    ] * 2


def test_waiting_email_is_retried_immediately(app, smtp):
    with app.app_context():
        smtp(1)
        service.send(EMAIL_MESSAGE, ANN)
        delivery_job.run()
    [waiting] = listed(app)

    assert run(app, "retry", waiting["id"]).exit_code == 0

    inbox = Inbox()
    with mail_servers.running(inbox) as port, app.app_context():
        smtp(port)
        delivery_job.run()
    assert inbox.recipients == [ANN]


def test_email_of_unknown_outcome_is_resent_only_by_hand(app, smtp):
    with app.app_context():
        smtp(1)
        service.send(EMAIL_MESSAGE, ANN)
        with transaction() as session:
            session.execute(sa.update(Mail).values(handed_over_at=clock.now()))
    [waiting] = listed(app)

    assert run(app, "retry", waiting["id"]).exit_code == 1  # it may be in the process of being sent
    with time_machine.travel(clock.now() + timedelta(hours=1)), app.app_context():
        delivery_job.run()
    assert listed(app)[0]["reason"] == "outcome-unknown"
    assert run(app, "retry", waiting["id"]).exit_code == 0

    inbox = Inbox()
    with mail_servers.running(inbox) as port, app.app_context():
        smtp(port)
        delivery_job.run()
    assert inbox.recipients == [ANN]


def test_missing_or_sent_email_is_reported_with_exit_1(app, smtp):
    with mail_servers.running(Inbox()) as port, app.app_context():
        smtp(port)
        service.send(EMAIL_MESSAGE, ANN)
        delivery_job.run()
    [sent] = listed(app, "--all")

    for one in (sent["id"], str(uuid4())):
        done = run(app, "retry", one)
        assert done.exit_code == 1
        assert "not dead or waiting" in done.stdout
    assert run(app, "retry", "rubbish").exit_code == 2
    assert run(app, "retry").exit_code == 2
    assert run(app, "retry", "--dead", sent["id"]).exit_code == 2


def test_test_email_is_sent_immediately_as_text_and_html(app, smtp):
    inbox = Inbox()
    with mail_servers.running(inbox) as port:
        smtp(port)
        done = run(app, "test", ANN, "--json")

    assert (done.exit_code, json.loads(done.stdout)["accepted"]) == (0, True)
    [message] = inbox.messages
    assert [part.get_content_type() for part in message.walk()][-2:] == ["text/plain", "text/html"]
    assert listed(app, "--all") == []


@pytest.mark.parametrize(
    ("answers", "reason"),
    [({"rcpt": "550 no"}, "smtp-550"), ({"answer": "451 later"}, "smtp-451"), (None, "no-server")],
)
def test_failed_mail_test_prints_reason_and_exits_1(app, smtp, answers, reason):
    with mail_servers.running(Inbox(**(answers or {}))) as port:
        smtp(port if answers else 1)
        done = run(app, "test", ANN, "--json")

    output = json.loads(done.stdout)
    assert (done.exit_code, output["accepted"], output["reason"]) == (1, False, reason)
    assert output["advice"]
    assert ANN not in done.output


def test_test_email_without_server_names_the_file(app):
    done = run(app, "test", ANN)

    assert done.exit_code == 0
    assert f"in {app.config['SETTINGS'].vaultr_home / 'mail'}" in done.stdout


@pytest.mark.parametrize("address", ["nobody", "a b@example.org", "a@example.org\nBcc: b@c"])
def test_invalid_address_is_rejected(app, address):
    done = run(app, "test", address)

    assert done.exit_code == 1
    assert "not an email address" in done.output
