"""Emails go to a server with a verified name within a time limit, or into a folder."""

import smtplib
import ssl
import stat
from email import message_from_bytes, policy

import pytest

from tests.harness import app_fixtures, mail_servers
from tests.harness.mail_servers import Certificate, Inbox
from tests.harness.timing import quickest
from vaultr.app import create_app
from vaultr.mail import sender, transports
from vaultr.mail.message import Email
from vaultr.settings.model import Settings

EMAIL_MESSAGE = Email(
    "verify-email", "Bestätigen", "Öffnen:\n\nhttps://v.example/?token=abc\n", "<p>Öffnen</p>"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("certificates"), "localhost")


@pytest.fixture
def app_for(tmp_path):
    """Return an app that sends its emails to a local port."""

    def make(port, secure, ca=None, **more):
        more |= {"SMTP_CA_FILE": str(ca.file)} if ca else {}
        environ = app_fixtures.environ_for(
            tmp_path,
            SMTP_HOST="localhost",
            SMTP_PORT=str(port),
            SMTP_SECURE=secure,
            SMTP_FROM="Vaultr <vaultr@v.example>",
            **more,
        )
        return create_app(Settings.from_environ(environ))

    return make


def send(app, to="ann@example.org"):
    with app.app_context():
        sender.send(EMAIL_MESSAGE, to=to, with_id="<1@v.example>")


def test_email_uses_starttls_with_verified_server(app_for, certificate):
    inbox = Inbox()
    with mail_servers.running(inbox, starttls=certificate) as port:
        send(app_for(port, "starttls", certificate))

    [message] = inbox.messages
    assert inbox.recipients == ["ann@example.org"]
    assert message["To"] == "ann@example.org"
    assert message["From"] == "Vaultr <vaultr@v.example>"
    assert message["Subject"] == "Bestätigen"
    assert message["Message-ID"] == "<1@v.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert "https://v.example/?token=abc" in text.get_content().splitlines()
    assert html.get_content().strip() == "<p>Öffnen</p>"


def test_email_is_sent_over_implicit_tls(app_for, certificate):
    inbox = Inbox()
    with mail_servers.running(inbox, tls=certificate) as port:
        send(app_for(port, "tls", certificate))

    assert len(inbox.messages) == 1


@pytest.mark.parametrize("secure", ["starttls", "tls"])
def test_server_with_untrusted_certificate_gets_no_email(app_for, certificate, secure, tmp_path):
    inbox = Inbox()
    other = Certificate(tmp_path, "localhost")
    with mail_servers.running(inbox, **{secure: other}) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            send(app_for(port, secure))
        with pytest.raises(ssl.SSLCertVerificationError):
            send(app_for(port, secure, certificate))

    assert inbox.messages == []


def test_server_with_wrong_certificate_name_gets_no_email(app_for, tmp_path):
    inbox = Inbox()
    other = Certificate(tmp_path, "elsewhere.example")
    with (
        mail_servers.running(inbox, starttls=other) as port,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        send(app_for(port, "starttls", other))

    assert inbox.messages == []


def test_server_without_starttls_gets_no_email(app_for):
    inbox = Inbox()
    with (
        mail_servers.running(inbox) as port,
        pytest.raises(smtplib.SMTPNotSupportedError),
    ):
        send(app_for(port, "starttls"))

    assert inbox.messages == []


def test_plaintext_is_allowed_to_local_mail_server(app_for):
    inbox = Inbox()
    with mail_servers.running(inbox) as port:
        send(app_for(port, "none"))

    assert len(inbox.messages) == 1


@pytest.mark.parametrize("secure", ["starttls", "tls", "none"])
def test_silent_server_is_abandoned_after_time_limit(time_limit, app_for, monkeypatch, secure):
    monkeypatch.setattr(transports, "STEP_SECONDS", 0.3)

    def wait():
        with mail_servers.silent() as port, pytest.raises(OSError, match="timed out"):
            send(app_for(port, secure))

    assert quickest(wait, within=time_limit(3)) < time_limit(3)


def test_server_that_stalls_is_abandoned(time_limit, app_for, monkeypatch):
    monkeypatch.setattr(transports, "WHOLE_SECONDS", 0.3)

    def wait():
        with (
            mail_servers.silent(b"220 mail.test\r\n250-one\r\n") as port,
            pytest.raises(smtplib.SMTPServerDisconnected),
        ):
            send(app_for(port, "none"))

    assert quickest(wait, within=time_limit(3)) < time_limit(3)


def test_accepted_email_stays_accepted_without_quit_response(app_for):
    class NoQuitResponse(Inbox):
        async def handle_QUIT(self, server, _session, _envelope):  # noqa: N802 - aiosmtpd calls it so
            server.transport.abort()
            return "221 Bye"

    inbox = NoQuitResponse()
    with mail_servers.running(inbox) as port:
        send(app_for(port, "none"))

    assert len(inbox.messages) == 1


def test_email_without_mail_server_is_written_to_private_file(tmp_path):
    app = create_app(Settings.from_environ(app_fixtures.environ_for(tmp_path)))

    send(app)
    send(app)

    files = sorted((tmp_path / "mail").iterdir())
    assert [file.suffix for file in files] == [".eml", ".eml"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert files[0].stem.endswith("-verify-email")
    lines = files[0].read_text().splitlines()
    assert "https://v.example/?token=abc" in lines
    assert "Öffnen:" in lines
    message = message_from_bytes(files[0].read_bytes(), policy=policy.default)
    assert message["To"] == "ann@example.org"
