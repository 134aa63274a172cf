"""The tasks of deploy/aws/app.yaml, run with their command, environment, user and volumes."""

import contextlib
import json
import os
import re
import signal
import time

import psycopg2
import pytest

from tests.harness import servers
from tests.rollout import aws, task_sandbox, tools
from tests.rollout.compose_processes import Site
from vaultr.ops.doctor import connections

HOST = "vault.example.org"
IMAGE_COMMAND = ["gunicorn", "-c", "config/gunicorn.py", "wsgi:app"]
START_SECONDS = 120


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    folder.chmod(0o755)
    with Site(folder) as site:
        yield site


@pytest.fixture(scope="module")
def values(site, cloud):
    """The template's parameters in this test."""
    stack = cloud.call("cloudformation", "describe_stacks", StackName=f"{aws.NAME}-data")
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Stacks"][0]["Outputs"]}
    return {
        "Name": aws.NAME, "Host": HOST, "TrustedProxies": "1", "WebConcurrency": "1",
        "WebThreads": "2", "LogLevel": "INFO", "SmtpHost": "mail.example.org",
        "SmtpFrom": "vaultr@example.org", "SmtpUser": "AKIAEXAMPLE",
        "BackupRecipient": (site.secrets / "backup_recipient").read_text().strip(),
        **outputs,
    }  # fmt: skip


def value_of(entry, values):
    """Return the value that CloudFormation computes in a task's environment."""
    if "Ref" in entry:
        return values[entry["Ref"]]
    return re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], entry["Fn::Sub"])


def environ(site, cloud, values, task):
    """Return a task's environment: parameters, secrets, and what ECS adds for its role.

    On ECS each task has its own address; here their ports would conflict.
    """
    found = task_sandbox.environment(
        **{name: cloud.environ[name] for name in cloud.environ if name.startswith("AWS_")},
        PORT=str(servers.free_port()), METRICS_PORT=str(servers.free_port()),
    )  # fmt: skip
    for one in task["Environment"]:
        plain = isinstance(one["Value"], str)
        found[one["Name"]] = one["Value"] if plain else value_of(one["Value"], values)
    for one in task["Secrets"]:
        found[one["Name"]] = secret(site, one)
    return found


def secret(site, entry):
    if entry["Name"] == "SMTP_PASS":
        return "secret-of-the-mail-server"
    if entry["Name"] == "DATABASE_CA":
        return ""  # the PostgreSQL of the tests has no certificate
    which = re.match(r"Migration|Sequencer|", str(entry["ValueFrom"]["Ref"]))[0].lower()
    name = f"{which}_{entry['Name']}" if which and "DATABASE" in entry["Name"] else entry["Name"]
    return (site.secrets / name.lower()).read_text().strip()


def run(site, cloud, values, name):
    task = aws.tasks()[name]
    return task_sandbox.run(task["Command"], environ(site, cloud, values, task))


@contextlib.contextmanager
def running(site, cloud, values, name, **volumes):
    """Start a service, wait until its health check passes, and stop it like ECS."""
    task = aws.tasks()[name]
    settings = environ(site, cloud, values, task)
    check = task["HealthCheck"]["Command"]
    assert check[0] == "CMD"
    with (site.folder / f"{name}.log").open("wb") as out:
        process = task_sandbox.start(
            task.get("Command", IMAGE_COMMAND), settings, out, volumes=volumes
        )
        try:
            _wait_until_healthy(process, check[1:], settings, site.folder / f"{name}.log")
            yield settings
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(task["StopTimeout"]) == 0


def _wait_until_healthy(process, check, settings, log):
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        if task_sandbox.run_beside(process, check, settings).returncode == 0:
            return
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


@pytest.mark.parametrize("name", ["migrate", "cleanup"])
def test_migrate_and_cleanup_tasks_succeed(site, cloud, values, name):
    done = run(site, cloud, values, name)

    assert done.returncode == 0, tools.output_of(done)


def test_web_task_becomes_healthy_and_responds(site, cloud, values):
    with running(site, cloud, values, "web") as settings:
        over_https = {"X-Forwarded-Proto": "https", "Host": HOST}
        status, body, _ = site.ask(int(settings["PORT"]), "/api/ready", headers=over_https)
        contract, _, _ = site.ask(int(settings["PORT"]), "/api/v1/openapi.json", headers=over_https)

    assert (status, json.loads(body)["ready"], contract) == (200, True, 200)


def test_worker_task_becomes_healthy_and_exits_cleanly(site, cloud, values):
    with running(site, cloud, values, "worker"):
        pass

    assert "Traceback" not in (site.folder / "worker.log").read_text()


def test_sequencer_task_writes_state_and_anchors(site, cloud, values, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 10001, 10001)  # the access point does this

    def anchors():
        found = cloud.call("s3", "list_objects_v2", Bucket=values["AnchorsBucketName"])
        return [one["Key"] for one in found.get("Contents", [])]

    opened = []
    with running(site, cloud, values, "sequencer", **{"/var/lib/vaultr": state}):
        wait_until(
            lambda: (
                opened.append(_connections(site, "vaultr_sequencer"))
                or ((state / "audit-state").exists() and anchors())
            )
        )

    assert (state / "audit-state").stat().st_uid == 10001
    assert all(one.startswith(f"{aws.NAME}/checkpoint-") for one in anchors())
    assert 0 < max(opened) <= connections.SEQUENCER


def _connections(site, role):
    """Return the current number of connections of a database role."""
    requested = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    with contextlib.closing(psycopg2.connect(site.postgres.url)) as connection:
        cursor = connection.cursor()
        cursor.execute(requested, (role,))
        return cursor.fetchone()[0]


def wait_until(done):
    until = time.monotonic() + START_SECONDS
    while not done():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_daily_task_reports_health_backup_limits_and_mail(site, cloud, values):
    """No user can reach this server, so some checks fail; those inside the task work."""
    done = run(site, cloud, values, "daily")

    found = {one["topic"]: one["level"] for one in json.loads(done.stdout)["findings"]}
    assert {*found} >= {"health", "backup", "limits", "mail"}, tools.output_of(done)
    assert found["limits"] == "ok"
    assert "Traceback" not in done.stderr


def test_backup_and_drill_tasks_succeed_with_bucket(site, cloud, values):
    made = run(site, cloud, values, "backup")
    done = run(site, cloud, values, "drill")

    assert made.returncode == 0, tools.output_of(made)
    assert done.returncode == 0, tools.output_of(done)
    assert json.loads(done.stdout)["ok"] is True
    stored = cloud.call("s3", "list_objects_v2", Bucket=values["BackupsBucketName"])
    assert stored["Contents"][0]["Key"].startswith(f"{aws.NAME}/")


def test_task_can_write_only_to_tmp(site, cloud, values):
    settings = environ(site, cloud, values, aws.tasks()["web"])
    folders = f"/ /var/lib /etc {tools.ROOT} /tmp"
    script = (
        f'id -u; for one in {folders}; do touch "$one/x" 2> /dev/null && echo "$one"; done; true'
    )

    done = task_sandbox.run(["sh", "-c", script], settings)

    assert done.stdout.split() == ["10001", "/tmp"], tools.output_of(done)


def test_roles_task_sets_passwords_from_database_urls(tmp_path):
    task = aws.tasks()["roles"]

    with servers.postgres(own=True) as server:
        url = servers.fresh_database(server.url)
        connected = psycopg2.connect(url)
        known = connected.info.dsn_parameters
        urls = {
            f"{kind}DATABASE_URL": f"postgresql://{role}:{'p%40ss' * 6}@db:5432/vaultr"
            for kind, role in (
                ("", "vaultr_app"), ("MIGRATION_", "vaultr_owner"),
                ("SEQUENCER_", "vaultr_sequencer"),
            )
        }  # fmt: skip
        urls["BACKUP_SCRATCH_URL"] = (
            f"postgresql://vaultr_scratch:{'p%40ss' * 6}@{known['host']}:5432/postgres"
        )
        assert {one["Name"] for one in task["Secrets"]} == {*urls, "PGPASSWORD", "DATABASE_CA"}
        variables = {
            "PGHOST": known["host"],
            "PGPORT": known["port"],
            "PGDATABASE": known["dbname"],
        }
        variables |= {"PGUSER": known["user"], "DATABASE_CA": "certificates"}
        environ = task_sandbox.environment(**variables, **urls)
        volumes = {"/tmp": tmp_path}
        tmp_path.chmod(0o1777)
        done = task_sandbox.run(task["Command"], environ, volumes=volumes)
        elsewhere = urls | {"BACKUP_SCRATCH_URL": urls["DATABASE_URL"]}
        counted = "wc -c < /tmp/BACKUP_SCRATCH_URL"
        script = f"{task['Command'][-1].rpartition('exec')[0]}{counted}"
        again = task_sandbox.run(
            [*task["Command"][:-1], script],
            task_sandbox.environment(**variables, **elsewhere),
            volumes=volumes,
        )
        with connected, connected.cursor() as cursor:
            cursor.execute("SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256%'")
            roles = {name for (name,) in cursor.fetchall()}
        connected.close()

    assert done.returncode == 0, tools.output_of(done)
    assert roles == {"vaultr_app", "vaultr_owner", "vaultr_sequencer", "vaultr_scratch"}
    assert (tmp_path / "DATABASE_URL").read_text() == "p@ss" * 6
    assert (tmp_path / "DATABASE_URL").stat().st_mode & 0o777 == 0o600
    assert "p@ss" not in done.stdout + done.stderr
    assert again.stdout.split() == ["0"], tools.output_of(again)
