"""The tasks of deploy/aws/app.yaml, run as processes with their command and environment."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from tests.harness import servers
from tests.rollout import aws, tools
from tests.rollout.compose_processes import Site

HOST = "vault.example.org"
# What the parameters of the template are here.
VALUES = {
    "TrustedProxies": "1", "WebConcurrency": "1", "WebThreads": "2", "LogLevel": "INFO",
    "SmtpHost": "mail.example.org", "SmtpFrom": "vaultr@example.org", "SmtpUser": "AKIAEXAMPLE",
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    folder.chmod(0o755)
    with Site(folder) as site:
        yield site


def environ(site, task, folder):
    """Return the environment of a task: parameters, and secrets from the files of the site."""
    found = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for one in task["Environment"]:
        value = one["Value"]
        if isinstance(value, dict):
            value = VALUES[value["Ref"]] if "Ref" in value else f"https://{HOST}"
        found[one["Name"]] = value.replace("/tmp", str(folder))
    for one in task["Secrets"]:
        if one["Name"] in ("SMTP_PASS", "DATABASE_CA"):
            found[one["Name"]] = "secret-of-the-mail-server" if "SMTP" in one["Name"] else ""
            continue
        owner = "migration_" if "Migration" in str(one["ValueFrom"]) else ""
        found[one["Name"]] = (site.secrets / f"{owner}{one['Name'].lower()}").read_text()
    return found


@pytest.mark.parametrize("name", ["migrate", "cleanup"])
def test_task_runs_with_its_command_and_environment(site, tmp_path, name):
    task = aws.tasks()[name]

    done = subprocess.run(
        [sys.executable, "-m", *task["Command"]],
        cwd=tools.ROOT, env=environ(site, task, tmp_path), capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, tools.output_of(done)


def test_task_creates_roles_with_passwords_of_the_urls(tmp_path):
    task = aws.tasks()["roles"]
    urls = {
        f"{kind}DATABASE_URL": f"postgresql://{role}:{'p%40ss' * 6}@db:5432/vaultr"
        for kind, role in (
            ("", "vaultr_app"), ("MIGRATION_", "vaultr_owner"), ("SEQUENCER_", "vaultr_sequencer"),
        )
    }  # fmt: skip
    assert {one["Name"] for one in task["Secrets"]} == {*urls, "PGPASSWORD", "DATABASE_CA"}
    command = [one.replace("/tmp", str(tmp_path)) for one in task["Command"]]

    with servers.postgres(own=True) as server:
        url = servers.fresh_database(server.url)
        connected = psycopg2.connect(url)
        known = connected.info.dsn_parameters
        given = {"PGHOST": known["host"], "PGPORT": known["port"], "PGDATABASE": known["dbname"]}
        given |= {"PGUSER": known["user"], "DATABASE_CA": "certificates"}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            command, cwd=tools.ROOT, env={"PATH": path, **given, **urls},
            capture_output=True, text=True,
        )  # fmt: skip
        with connected, connected.cursor() as cursor:
            cursor.execute("SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256%'")
            roles = {name for (name,) in cursor.fetchall()}
        connected.close()

    assert done.returncode == 0, tools.output_of(done)
    assert roles == {"vaultr_app", "vaultr_owner", "vaultr_sequencer"}
    assert (tmp_path / "DATABASE_URL").read_text() == "p@ss" * 6
    assert (tmp_path / "DATABASE_URL").stat().st_mode & 0o777 == 0o600
    assert "p@ss" not in done.stdout + done.stderr
