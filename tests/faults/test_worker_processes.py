"""Several workers: every email is sent once, and a worker stops gracefully."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness import app_fixtures, forked_programs, mail_servers, servers
from tests.harness.mail_servers import Inbox
from vaultr.database.session import db
from vaultr.mail import service
from vaultr.mail.message import Email

ROOT = Path(__file__).parents[2]
EMAIL_MESSAGE = Email("verify-email", "Confirm", "a link\n", "<p>a link</p>")


@pytest.fixture(params=["postgresql", pytest.param("sqlite", marks=pytest.mark.long)])
def environ(request, tmp_path):
    """Return the environment of a server with emails to ``SMTP_PORT``, on each database."""
    environ = app_fixtures.environ_for(
        tmp_path, SMTP_HOST="localhost", SMTP_SECURE="none", LOG_LEVEL="INFO"
    )
    if request.param == "postgresql":
        environ["DATABASE_URL"] = servers.fresh_database(request.getfixturevalue("postgres_url"))
    return environ


def worker(environ, *arguments):
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "worker", *arguments]
    return forked_programs.start(
        command,
        env=forked_programs.own_environ() | environ,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def write_emails(environ, count):
    app = app_fixtures.built(environ)
    with app.app_context():
        for number in range(count):
            service.send(EMAIL_MESSAGE, f"user{number}@example.org")
        db.engine.dispose()
    return app


def test_one_of_many_workers_sends_each_email(environ, count):
    emails, inbox = count(30, many=300), Inbox()
    write_emails(environ, emails)
    with mail_servers.running(inbox) as port:
        workers = [worker(environ | {"SMTP_PORT": str(port)}) for _ in range(3)]
        for one in workers:  # before that, a signal would end it during its start
            while '"worker.start"' not in one.stdout.readline():
                assert one.poll() is None
        deadline = time.monotonic() + 60
        while len(inbox.recipients) < emails and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)  # for a process that might send one again
        for one in workers:
            one.send_signal(signal.SIGTERM)
        for one in workers:
            one.communicate(timeout=60)

    assert sorted(inbox.recipients) == sorted(f"user{n}@example.org" for n in range(emails))
    assert [one.returncode for one in workers] == [0, 0, 0]


def test_killed_worker_releases_its_lock(environ):
    app = write_emails(environ, 1)
    with mail_servers.silent() as port:
        hanging = worker(environ | {"SMTP_PORT": str(port)})
        with app.app_context():
            _wait(lambda: _tries() == 1)
        hanging.kill()
        hanging.communicate()
    with app.app_context():
        service.send(EMAIL_MESSAGE, "late@example.org")
    inbox = Inbox()
    with mail_servers.running(inbox) as port:
        worker(environ | {"SMTP_PORT": str(port)}, "--once").communicate(timeout=60)

    assert inbox.recipients == ["late@example.org"]


def _tries():
    with db.engine.connect() as connection:
        return connection.exec_driver_sql("SELECT max(tries) FROM mails").scalar_one()


def _wait(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.long
def test_worker_logs_jobs_without_recipients(environ):
    write_emails(environ, 1)
    with mail_servers.running(Inbox()) as port:
        output, _ = worker(environ | {"SMTP_PORT": str(port)}, "--once").communicate(timeout=60)

    [line] = [json.loads(line) for line in output.splitlines() if '"mail.sent"' in line]
    assert line["kind"] == "verify-email"
    assert "user0" not in output
    assert "a link" not in output
