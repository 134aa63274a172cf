"""deploy/aws/snapshots and smtp-password: the chosen snapshots, and test vectors."""

import os
import subprocess
import sys

import pytest

from tests.rollout import aws, tools

# Names as given by people and earlier scripts, and when the snapshots were created.
SNAPSHOTS = {
    "daily-2026-09-01": "2026-09-01T02:00:00+00:00",
    "before-the-move": "2026-09-20T10:00:00+00:00",
    "vaultr-prod-20261001-020000": "2026-10-01T02:00:00+00:00",
    "vaultr-prod-29991231-000000": "2026-10-15T02:00:00+00:00",
    "a-restore-test": "2026-11-20T09:00:00+00:00",
    "z-older-than-it-sounds": "2026-01-05T02:00:00+00:00",
}
NEWEST = "a-restore-test"


@pytest.fixture(scope="module")
def stored(cloud):
    """An account whose database has several snapshots, and one that is still being created."""
    for name in _names(cloud):
        cloud.call("rds", "delete_db_snapshot", DBSnapshotIdentifier=name)
    for name, created in SNAPSHOTS.items():
        cloud.snapshot(name, created)
    return cloud


def _names(cloud):
    found = cloud.call("rds", "describe_db_snapshots", DBInstanceIdentifier=aws.NAME)["DBSnapshots"]
    return {one["DBSnapshotIdentifier"] for one in found if one["SnapshotType"] == "manual"}


def _run(cloud, command, *more, **environ):
    return cloud.run("snapshots", command, "--instance", aws.NAME, *more, **environ)


def _at(moment, cloud, command, *more):
    """Run the command as if it were another day."""
    return subprocess.run(
        [
            "faketime", moment, aws.PYTHON, aws.FOLDER / "snapshots", command,
            "--instance", aws.NAME, *more,
        ],
        env=cloud.environ | {"PATH": f"{aws.PYTHON.parent}:{os.environ['PATH']}", "TZ": "UTC"},
        capture_output=True, text=True,
    )  # fmt: skip


def test_latest_snapshot_is_chosen_by_time_not_name(stored):
    done = _run(stored, "latest")

    assert done.stdout.strip() == NEWEST, tools.output_of(done)


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("2026-10-01T02:00", "vaultr-prod-20261001-020000"),
        ("2026-10-01", "before-the-move"),
        ("2026-10-01T03:59:59+02:00", "before-the-move"),
    ],
)
def test_latest_with_before_returns_last_snapshot_until_that_time(stored, before, name):
    done = _run(stored, "latest", "--before", before)

    assert done.stdout.strip() == name, tools.output_of(done)


def test_prune_keeps_recent_snapshots_and_one_per_month(stored):
    dry = _at(
        "2026-11-30 12:00:00",
        stored,
        "prune",
        "--keep-days",
        "30",
        "--keep-monthly",
        "3",
        "--dry-run",
    )

    before = _names(stored)
    done = _at("2026-11-30 12:00:00", stored, "prune", "--keep-days", "30", "--keep-monthly", "3")

    gone = {"daily-2026-09-01", "vaultr-prod-20261001-020000", "z-older-than-it-sounds"}
    assert done.returncode == 0, tools.output_of(done)
    assert {*dry.stdout.split()} == {*done.stdout.split()} == gone
    assert before == {*SNAPSHOTS}
    assert _names(stored) == {*SNAPSHOTS} - gone


def test_prune_never_deletes_newest_snapshot(stored):
    done = _at(
        "2030-01-01 00:00:00",
        stored,
        "prune",
        "--keep-days",
        "1",
        "--keep-monthly",
        "0",
        "--dry-run",
    )

    assert done.returncode == 0, tools.output_of(done)
    assert NEWEST not in done.stdout.split()


def test_restore_copies_instance_settings_and_updates_database_urls(stored):
    dry = _run(stored, "restore", "--dry-run")
    done = _run(stored, "restore")
    again = _run(stored, "restore")

    assert dry.returncode == 0, tools.output_of(dry)
    assert f"would restore {NEWEST} to vaultr-prod-restore" in dry.stderr
    assert done.returncode == again.returncode == 0, tools.output_of(done) + tools.output_of(again)
    source, target = (
        stored.call("rds", "describe_db_instances", DBInstanceIdentifier=name)["DBInstances"][0]
        for name in (aws.NAME, f"{aws.NAME}-restore")
    )
    for name in ("VpcSecurityGroups", "DBSubnetGroup", "DBInstanceClass", "MultiAZ"):
        assert target[name] == source[name], name
    assert target["PubliclyAccessible"] is False
    for role in ("DATABASE_URL", "MIGRATION_DATABASE_URL", "SEQUENCER_DATABASE_URL"):
        found = stored.call("secretsmanager", "get_secret_value", SecretId=f"{aws.NAME}/{role}")
        address = target["Endpoint"]["Address"]
        expected = f"postgresql://{role.lower()}:p%40ss@{address}:5432/vaultr?sslmode=verify-full"
        assert found["SecretString"] == expected
    assert "p%40ss" not in done.stdout + done.stderr


def test_release_after_restore_requires_the_restored_instance(stored, tmp_path):
    command = ["release", "ecs", "--tag", "0.2.0", "--record", tmp_path / "record"]

    before = stored.run(*command)
    done = stored.run(*command, "--instance", f"{aws.NAME}-restore")

    assert before.returncode == 2, tools.output_of(before)
    assert "the services use the database vaultr-prod-restore. Add --instance" in before.stderr
    assert done.returncode == 0, tools.output_of(done)
    assert (tmp_path / "record").read_text().startswith("vaultr-prod-restore-")
    into_itself = _run(stored, "restore", "--instance", f"{aws.NAME}-restore")
    assert "cannot be restored into itself" in into_itself.stderr


@pytest.mark.parametrize(
    "value",
    ["", "hunter2", "https://u:hunter2@db:5432/vaultr", "postgresql://u:hunter2@db:99999/vaultr",
     "postgresql://u:hunter2/p@db:5432/vaultr", "postgresql:///vaultr", "postgresql://u:x@[::1/v"],
)  # fmt: skip
def test_error_for_invalid_url_secret_names_it_without_value(stored, value):
    name = f"{aws.NAME}/MIGRATION_DATABASE_URL"
    url = stored.call("secretsmanager", "get_secret_value", SecretId=name)["SecretString"]
    stored.call("secretsmanager", "put_secret_value", SecretId=name, SecretString=value or " ")
    try:
        done = _run(stored, "restore")
    finally:
        stored.call("secretsmanager", "put_secret_value", SecretId=name, SecretString=url)

    assert done.returncode == 2, tools.output_of(done)
    assert f"the secret {name} is not the URL of a database" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_restore_of_other_snapshot_into_existing_instance_is_rejected(stored):
    done = _run(stored, "restore", "--snapshot", "before-the-move")

    assert done.returncode == 2, tools.output_of(done)
    assert "vaultr-prod-restore exists already, restored from a-restore-test" in done.stderr


def test_create_waits_for_snapshot_and_records_its_id(stored, tmp_path):
    done = _run(stored, "create", "--record", tmp_path / "snapshot")

    name = done.stdout.strip()
    assert done.returncode == 0, tools.output_of(done)
    assert (tmp_path / "snapshot").read_text().strip() == name
    assert name in _names(stored)
    assert _run(stored, "latest").stdout.strip() == name


def test_unfinished_snapshot_blocks_create_and_is_not_latest(stored, tmp_path):
    stored.snapshot("half-done", "2026-11-30T11:00:00+00:00", status="creating")
    try:
        done = [_run(stored, "create"), _run(stored, "restore", "--snapshot", "half-done"),
                _run(stored, "latest")]  # fmt: skip
    finally:
        stored.call("rds", "delete_db_snapshot", DBSnapshotIdentifier="half-done")

    assert [one.returncode for one in done] == [2, 2, 0]
    assert "half-done is still being created" in done[0].stderr
    assert "half-done is creating" in done[1].stderr
    assert done[2].stdout.strip() != "half-done"


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        (
            ["latest", "--instance", "vaultr-prod", "--before", "30.11.2026"],
            "such as 2026-11-30T12:00",
        ),
        (["latest", "--instance", "vaultr-prod", "--before", "2020-01-01"], "no usable snapshot"),
        (["latest", "--instance", "elsewhere"], "no usable snapshot"),
        (["create", "--instance", "elsewhere"], "no such database instance: elsewhere"),
        (
            ["prune", "--instance", "elsewhere", "--keep-days", "30"],
            "no such database instance: elsewhere",
        ),
        (
            ["prune", "--instance", "vaultr-prod", "--keep-days", "0"],
            "--keep-days must be at least 1",
        ),
        (
            ["restore", "--instance", "vaultr-prod", "--snapshot", "unknown"],
            "has no snapshot unknown",
        ),
        (["restore", "--instance", "Vaultr Prod"], "must be letters, digits and hyphens"),
    ],
)
def test_invalid_arguments_are_rejected_without_changes(stored, arguments, about):
    done = stored.run("snapshots", *arguments)

    assert done.returncode == 2, tools.output_of(done)
    assert about in done.stderr
    assert "Nothing was changed" in done.stderr


def test_missing_credentials_print_message_without_traceback(stored):
    environ = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")

    done = _run(stored, "latest", **environ, AWS_EC2_METADATA_DISABLED="true")

    assert done.returncode == 2
    assert "Unable to locate credentials" in done.stderr
    assert "Traceback" not in done.stderr


# --- smtp-password -------------------------------------------------------------------------

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # the example in AWS's documentation


def _password(text, *more):
    return subprocess.run(
        [sys.executable, aws.FOLDER / "smtp-password", *more],
        input=text, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "region", "password"),
    [
        ("some+secret+key", "eu-central-1", "BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2"),
        ("another+secret+key", "us-west-1", "BKVmjjMDFk/qqw8EROW99bjCS65PF8WKvK5bSr4Y6EqF"),
    ],
)
def test_smtp_password_equals_published_test_vectors(key, region, password):
    """The vectors of Terraform's AWS provider, whose keys are shorter than real ones."""
    script = (
        "import importlib.machinery as m, sys;"
        " sys.dont_write_bytecode = True;"
        " print(m.SourceFileLoader('it', sys.argv[1]).load_module().password(*sys.argv[2:]))"
    )
    path = str(aws.FOLDER / "smtp-password")

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, path, key, region],
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == password, tools.output_of(done)


def test_smtp_password_depends_on_stdin_key_and_region():
    done = [_password(f"{SECRET}\n", "--region", region) for region in ("us-east-1", "eu-west-1")]

    assert done[0].stdout == "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9\n"
    assert done[1].stdout != done[0].stdout


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (SECRET, ["--region", "Frankfurt"]), ("", ["--region", "eu-west-1"]),
        ("AKIAIOSFODNN7EXAMPLE", ["--region", "eu-west-1"]),
        (SECRET, ["--region", "eu-west-1", "--fd", "77"]),
    ],
)  # fmt: skip
def test_invalid_smtp_password_input_is_rejected_without_echo(text, arguments):
    done = _password(text, *arguments)

    assert done.returncode == 2
    assert not text or text not in done.stdout + done.stderr
