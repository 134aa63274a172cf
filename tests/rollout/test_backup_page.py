"""The commands of docs/runbook.md, "Back up" and "Restore", run in a shell."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from tests import factories
from tests.harness import app_fixtures, backups, servers
from tests.rollout import tools
from vaultr.database.session import db
from vaultr.ops import last_runs
from vaultr.ops.last_runs import RunKind

PAGE = (tools.ROOT / "docs" / "runbook.md").read_text()
PASSWORD = "a-password-of-more-than-20-letters"


def block_of(heading, beginning):
    """Return a block under a heading, as a shell reads it."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    [block] = [one for one in re.findall(r"(?:^    .*\n)+", section, re.M) if beginning in one]
    return re.sub(r"^    ", "", block, flags=re.M)


class Shell:
    """The folder of an operator who logs in as ``user``."""

    def __init__(self, folder, server, user):
        self.folder = folder
        for name in ("app_password", "owner_password"):
            (folder / name).write_text(PASSWORD)
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(urlsplit(server.url).port),
            "PGUSER": user,
            "APP_PASSWORD_FILE": str(folder / "app_password"),
            "OWNER_PASSWORD_FILE": str(folder / "owner_password"),
            "SCRATCH": f"postgresql://{user}@127.0.0.1:{urlsplit(server.url).port}/postgres",
            "FLASK_APP": str(tools.ROOT / "wsgi.py"),
        }
        self.environ |= app_fixtures.environ_for(
            folder, DATABASE_URL=self.url("vaultr_app", "vaultr")
        )

    def run(self, script):
        script = script.replace("deploy/", f"{tools.ROOT}/deploy/")
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder, env=self.environ, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def url(self, role, database):
        return f"postgresql://{role}@127.0.0.1:{self.environ['PGPORT']}/{database}"

    def flask(self, *words, role, database):
        environ = app_fixtures.environ_for(self.folder, DATABASE_URL=self.url(role, database))
        return subprocess.run(
            [sys.executable, "-m", "flask", *words],
            cwd=tools.ROOT, env=self.environ | environ, capture_output=True, text=True,
        )  # fmt: skip

    @contextlib.contextmanager
    def app(self, database):
        """Enter an app on a database, with the role that only reads and writes rows."""
        more = {"DATABASE_URL": self.url("vaultr_app", database)}
        environ = app_fixtures.environ_for(self.folder, **more)
        with app_fixtures.create_app(app_fixtures.Settings.from_environ(environ)).app_context():
            yield
            db.engine.dispose()


@pytest.fixture(params=["postgres_superuser", "master"])
def shell(request, tmp_path):
    """An operator's shell, with a database `vaultr` that has roles, tables and an account."""
    with servers.postgres(own=True) as server:
        with psycopg2.connect(server.url) as admin:
            attributes = "SUPERUSER" if "super" in request.param else "CREATEDB CREATEROLE"
            admin.cursor().execute(f"CREATE ROLE {request.param} LOGIN {attributes}")
        admin.close()
        shell = Shell(tmp_path, server, request.param)
        shell.run("createdb vaultr")
        shell.run("psql -v ON_ERROR_STOP=1 -d vaultr -f deploy/postgres/roles.sql")
        migrated = shell.flask("db", "upgrade", role="vaultr_owner", database="vaultr")
        assert migrated.returncode == 0, migrated.stderr
        with shell.app("vaultr"):
            factories.session(factories.account("ann@example.org"))
            backups.record_missing_events()
        yield shell


def test_runbook_commands_create_verify_and_restore_backup(shell):
    listed = shell.run(block_of("Back up", "flask backup create"))
    [backup] = (shell.folder / "backups").glob("*.age")

    assert listed.splitlines()[-1].endswith("  verified")
    assert backup.stat().st_mode & 0o077 == 0
    with shell.app("vaultr"):
        assert last_runs.last(RunKind.BACKUP_VERIFIED).age_seconds < 600
        assert last_runs.last(RunKind.DRILL).age_seconds < 600

    shell.environ |= {
        "FILE": str(backup),
        "BACKUP_IDENTITY_FILE": str(shell.folder / "identity.txt"),
    }
    shell.run(block_of("Restore", "vaultr_restored"))

    status = shell.flask("db-status", "--json", role="vaultr_app", database="vaultr_restored")
    assert status.returncode == 0, status.stdout + status.stderr
    with shell.app("vaultr_restored"):
        assert factories.account("bob@example.org")  # it accepts rows again
    with psycopg2.connect(shell.url("vaultr_app", "vaultr_restored")) as restored:
        cursor = restored.cursor()
        cursor.execute("SELECT count(*) FROM accounts")
        assert cursor.fetchone() == (2,)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("UPDATE audit_event SET sub = ''")
    restored.close()


def test_age_and_tar_open_a_backup_without_vaultr(shell):
    shell.run(block_of("Back up", "flask backup create"))
    page = (tools.ROOT / "docs" / "backups.md").read_text()
    [block] = re.findall(r"```sh\n(age --decrypt.*?)```", page, re.S)
    [backup] = (shell.folder / "backups").glob("*.age")
    name = re.search(r"vaultr-\S+\.age", block)[0]

    shown = shell.run(block.replace(name, str(backup)))

    assert "TABLE DATA public accounts" in shown
    assert "accounts" in (shell.folder / "manifest.json").read_text()
