"""Database, Redis and mail server are trusted only with a valid certificate."""

import shutil
import signal
import smtplib
import ssl
from contextlib import contextmanager

import pytest
import redis
import sqlalchemy as sa

from tests.harness import app_fixtures, mail_servers, servers
from tests.harness.mail_servers import Certificate, Inbox
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.mail import sender
from vaultr.mail.message import Email
from vaultr.ratelimit import limiter
from vaultr.settings.model import Settings

WRONG = ("authority", "name", "time")


@pytest.fixture(scope="module")
def folder():
    """A folder that PostgreSQL's and Redis's users can enter."""
    with servers.scratch("vaultr-certificates-") as folder:
        yield folder


@pytest.fixture(scope="module")
def good(folder):
    return Certificate(folder, "localhost")


def shown(folder, good, wrong):
    """Return the certificate that a server sends and the one that its client trusts."""
    if wrong == "authority":
        return Certificate(folder, "localhost"), good
    if wrong == "name":
        other = Certificate(folder, "elsewhere.example")
        return other, other
    if wrong == "time":
        over = Certificate(folder, "localhost", days=(-3, -1))
        return over, over
    return good, good


@contextmanager
def app_with(tmp_path, **more):
    app = create_app(Settings.from_environ(app_fixtures.environ_for(tmp_path, **more)))
    with app.app_context():
        try:
            yield app
        finally:
            db.engine.dispose()


# --- PostgreSQL ---


@pytest.fixture(scope="module")
def postgres(folder):
    with servers.postgres(own=True) as server:
        yield server


def database(postgres, certificate, authority):
    """Make the server use this certificate; return the URL for clients that trust ``authority``."""
    data = postgres.folder / "data"
    owner = data.stat()
    for name, source in (("server.crt", certificate.file), ("server.key", certificate.key)):
        target = data / name
        shutil.copy(source, target)
        shutil.chown(target, owner.st_uid, owner.st_gid)
        target.chmod(0o600)
    (data / "postgresql.auto.conf").write_text("ssl = on\n")
    postgres.stop(signal.SIGINT)
    postgres.start()
    url = postgres.url.replace("127.0.0.1", "localhost")
    return f"{url}?sslmode=verify-full&sslrootcert={authority.file}"


def test_database_with_private_ca_is_used_over_tls(tmp_path, folder, good, postgres):
    url = database(postgres, good, good)

    with app_with(tmp_path, DATABASE_URL=url), db.engine.connect() as connection:
        used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert connection.execute(sa.text(used)).scalar() is True


@pytest.mark.parametrize("wrong", WRONG)
def test_database_with_invalid_certificate_is_rejected(tmp_path, folder, good, postgres, wrong):
    url = database(postgres, *shown(folder, good, wrong))

    with (
        app_with(tmp_path, DATABASE_URL=url),
        pytest.raises(sa.exc.OperationalError, match=r"certificate|does not match"),
        db.engine.connect(),
    ):
        pass


@pytest.mark.parametrize(
    ("setting", "query"), [("DATABASE_CA", ""), ("PRIVATE_CA", "?sslmode=verify-full")]
)
@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_database_ca_setting_decides_which_certificates_are_trusted(
    tmp_path, folder, good, postgres, wrong, setting, query
):
    certificate, authority = shown(folder, good, wrong)
    url = database(postgres, certificate, authority).partition("?")[0]
    known = {"DATABASE_URL": f"{url}{query}", setting: authority.file.read_text()}

    with app_with(tmp_path, VAULTR_HOME=str(tmp_path), **known):
        if wrong is None:
            with db.engine.connect() as connection:
                used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                assert connection.execute(sa.text(used)).scalar() is True
        else:
            with pytest.raises(sa.exc.OperationalError, match=r"certificate|does not match"):
                db.engine.connect()
    [path] = tmp_path.glob("database-ca-*.pem")
    assert path.stat().st_mode & 0o777 == 0o600


# --- Redis ---


@contextmanager
def counters(folder, certificate):
    """Start a Redis that accepts only TLS and requires a password."""
    port = servers.free_port()
    for one in (certificate.file, certificate.key):
        one.chmod(0o644)
    server = servers.Server(
        f"rediss://:s3cret@localhost:{port}/0",
        [
            shutil.which("redis-server"), "--port", "0", "--tls-port", str(port), "--bind",
            "127.0.0.1", "--dir", str(folder), "--save", "", "--requirepass", "s3cret",
            "--tls-cert-file", str(certificate.file), "--tls-key-file", str(certificate.key),
            "--tls-ca-cert-file", str(certificate.file), "--tls-auth-clients", "no",
        ],
        folder=folder,
        answers=lambda url: servers.redis_answers(f"{url}?ssl_cert_reqs=none"),
    )  # fmt: skip
    server.start()
    try:
        yield server.url
    finally:
        server.stop(signal.SIGTERM)


def test_redis_with_private_ca_is_used_over_tls(tmp_path, folder, good):
    with counters(folder, good) as url:
        known = {"REDIS_URL": f"{url}?ssl_ca_certs={good.file}", "WEB_CONCURRENCY": "1"}
        with app_with(tmp_path, **known):
            assert limiter.current().reachable()


@pytest.mark.parametrize("wrong", WRONG)
def test_redis_with_invalid_certificate_is_unreachable(tmp_path, folder, good, wrong):
    certificate, authority = shown(folder, good, wrong)
    with counters(folder, certificate) as url:
        known = {"REDIS_URL": f"{url}?ssl_ca_certs={authority.file}", "WEB_CONCURRENCY": "1"}
        with app_with(tmp_path, **known):
            assert not limiter.current().reachable()


@pytest.mark.parametrize("setting", ["REDIS_CA", "PRIVATE_CA"])
@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_redis_ca_setting_decides_which_certificates_are_trusted(
    tmp_path, folder, good, wrong, setting
):
    certificate, authority = shown(folder, good, wrong)
    with counters(folder, certificate) as url:
        known = {"REDIS_URL": url, setting: authority.file.read_text(), "WEB_CONCURRENCY": "1"}
        with app_with(tmp_path, **known):
            assert limiter.current().reachable() == (wrong is None)


@pytest.mark.parametrize("change", ["no-password", "no-tls"])
def test_redis_rejects_plaintext_and_missing_password(folder, good, change):
    with counters(folder, good) as url:
        whole = f"{url}?ssl_ca_certs={good.file}"
        wrong = {
            "no-password": whole.replace(":s3cret@", ""),
            "no-tls": url.replace("rediss", "redis"),
        }
        with redis.Redis.from_url(wrong[change]) as anonymous, pytest.raises(redis.RedisError):
            anonymous.ping()
        with redis.Redis.from_url(whole) as ours:
            assert ours.ping()


# --- mail ---


@pytest.mark.parametrize("wrong", WRONG)
def test_mail_server_with_invalid_certificate_gets_no_email(tmp_path, folder, good, wrong):
    certificate, authority = shown(folder, good, wrong)
    inbox = Inbox()
    email_message = Email("verify-email", "Hello", "text", "<p>text</p>")
    with mail_servers.running(inbox, starttls=certificate) as port:
        known = {
            "SMTP_HOST": "localhost",
            "SMTP_PORT": str(port),
            "SMTP_CA_FILE": str(authority.file),
        }
        with app_with(tmp_path, **known), pytest.raises((ssl.SSLError, smtplib.SMTPException)):
            sender.send(email_message, to="ann@example.org", with_id="<1@v.example>")

    assert inbox.messages == []
