"""Every supported PostgreSQL, with TLS and SCRAM only: who can connect, and what a role may do."""

import os
import shutil
import signal
import subprocess
import sys

import psycopg2
import pytest

from tests.harness import app_fixtures
from tests.harness.mail_servers import Certificate
from tests.harness.servers import run_sql
from tests.rollout import postgres_versions, tools
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.settings.model import Settings

PASSWORD = "a-password-of-more-than-20-letters"
OWNER, APP = "vaultr_owner", "vaultr_app"
NO_RIGHT = "42501"
SCRAM_ONLY = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


class Site:
    """A server with a TLS certificate for ``localhost``, and its two authorities."""

    def __init__(self, server, folder):
        self.server = server
        self.good = Certificate(folder, "localhost")
        self.other = Certificate(folder, "localhost")
        self.name = "postgres"

    def close(self):
        """Restart it so that it accepts only TLS and SCRAM."""
        data = self.server.folder / "data"
        owner = data.stat()
        for name, source in (("server.crt", self.good.file), ("server.key", self.good.key)):
            target = data / name
            shutil.copy(source, target)
            shutil.chown(target, owner.st_uid, owner.st_gid)
            target.chmod(0o600)
        (data / "postgresql.auto.conf").write_text("ssl = on\n")
        (data / "pg_hba.conf").write_text(SCRAM_ONLY)
        self.server.stop(signal.SIGINT)
        self.server.url = self.url("vaultr")
        self.server.start()

    def url(self, role, *, password=PASSWORD, host="localhost", trusted=None, more=""):
        port = self.server.url.partition("?")[0].rpartition(":")[2].partition("/")[0]
        query = f"sslmode=verify-full&sslrootcert={(trusted or self.good).file}{more}"
        return f"postgresql://{role}:{password}@{host}:{port}/{self.name}?{query}"


@pytest.fixture(scope="module", params=postgres_versions.VERSIONS)
def site(request):
    with postgres_versions.running(request.param) as (server, folder):
        found = Site(server, folder)
        postgres_versions.create_roles(server.url, folder, PASSWORD)
        run_sql(server.url, f"ALTER ROLE vaultr PASSWORD '{PASSWORD}'")
        found.close()
        done = _flask(found.url(OWNER), folder, "db", "upgrade")
        assert done.returncode == 0, tools.output_of(done)
        yield found


def _flask(url, folder, *arguments):
    environ = {"PATH": os.environ["PATH"], "VAULTR_ENV": "development",
               "VAULTR_HOME": str(folder / "home"), "DATABASE_URL": url}  # fmt: skip
    return subprocess.run([sys.executable, "-m", "flask", *arguments], cwd=tools.ROOT,
                          env=environ, capture_output=True, text=True)  # fmt: skip


@pytest.mark.matrix(2)
def test_server_is_ready_on_each_supported_version(site, tmp_path):
    environ = app_fixtures.environ_for(tmp_path, DATABASE_URL=site.url(APP))
    app = create_app(Settings.from_environ(environ))

    answer = app.test_client().get("/api/ready")
    with app.app_context():
        db.engine.dispose()

    assert answer.json["ready"] is True, answer.json
    used = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert run_sql(site.url(APP), used) == [(True, "TLSv1.3")]


@pytest.mark.matrix(2)
def test_client_rejects_untrusted_certificate_and_wrong_host_name(site, tmp_path):
    wrong = {
        "certificate verify failed": site.url(APP, trusted=site.other),
        "does not match host name": site.url(APP, host="127.0.0.1"),
    }

    for reason, url in wrong.items():
        done = _flask(url, tmp_path, "db-status", "--json")

        assert done.returncode != 0
        with pytest.raises(psycopg2.OperationalError, match=reason):
            psycopg2.connect(url)


@pytest.mark.matrix(2)
def test_postgresql_requires_tls_and_scram(site):
    stored = "SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'vaultr%'"
    passwords = [row[0] for row in run_sql(site.url("vaultr"), stored) if row[0]]
    assert len(passwords) >= 3
    assert all(one.startswith("SCRAM-SHA-256$") for one in passwords)
    assert run_sql(site.url(APP, more="&require_auth=scram-sha-256"), "SELECT 1") == [(1,)]
    for url in (
        site.url(APP).replace("verify-full", "disable"),
        site.url(APP, password="x" * 30),
        site.url(APP, more="&require_auth=md5,password,none"),
    ):
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(url)


@pytest.mark.matrix(2)
def test_server_role_cannot_change_schema_or_roles(site):
    statements = (
        "CREATE TABLE things (id int)", "DROP TABLE accounts", "TRUNCATE accounts",
        "ALTER TABLE accounts ADD COLUMN more int", "CREATE SCHEMA other", "DROP SCHEMA public",
        "CREATE DATABASE other", "DROP DATABASE postgres", "CREATE ROLE other",
        f"ALTER ROLE {OWNER} PASSWORD 'x'", "CREATE EXTENSION pgcrypto", f"SET ROLE {OWNER}",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP TABLE audit_event",
        "DELETE FROM audit_event",
    )  # fmt: skip
    for statement in statements:
        with pytest.raises(psycopg2.Error) as error:
            run_sql(site.url(APP), statement)
        assert error.value.pgcode == NO_RIGHT, statement

    assert run_sql(site.url(APP), "SELECT count(*) >= 0 FROM accounts") == [(True,)]
