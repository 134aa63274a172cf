"""deploy/aws/release with moto: it checks, migrates, deploys, watches, and rolls back."""

import contextlib
import json
import os
import re

import pytest

from tests.rollout import aws, tools

RECORD = "--record"
JOBS = ("cleanup", "daily", "backup", "drill")


def _release(cloud, tag, record, *more, target="ecs"):
    return cloud.run("release", target, "--tag", tag, RECORD, record, *more)


def _running(cloud):
    """Return the image tags of the services."""
    names = [f"{aws.NAME}-{one}" for one in ("web", "worker", "sequencer")]
    found = cloud.call("ecs", "describe_services", cluster=aws.NAME, services=names)["services"]
    return {_tag(cloud, one["taskDefinition"]) for one in found}


def _tag(cloud, name):
    found = cloud.call("ecs", "describe_task_definition", taskDefinition=name)["taskDefinition"]
    tags = {one["image"].rpartition(":")[2] for one in found["containerDefinitions"]}
    assert len(tags) == 1
    return tags.pop()


def _scheduled(cloud):
    """Return the image tags of the scheduled tasks."""
    found = [cloud.call("scheduler", "get_schedule", Name=f"{aws.NAME}-{one}") for one in JOBS]
    return {_tag(cloud, one["Target"]["EcsParameters"]["TaskDefinitionArn"]) for one in found}


def _migrations(cloud):
    return cloud.call("ecs", "list_tasks", cluster=aws.NAME, startedBy="release")["taskArns"]


@contextlib.contextmanager
def _alarm(cloud):
    """Keep an alarm in the state ALARM until the block ends."""
    cloud.alarm("error-ratio", "ALARM")
    try:
        yield
    finally:
        cloud.alarm("error-ratio", "OK")


def _snapshots(cloud):
    found = cloud.call("rds", "describe_db_snapshots", DBInstanceIdentifier=aws.NAME)["DBSnapshots"]
    return {one["DBSnapshotIdentifier"] for one in found}


def test_release_updates_services_and_scheduled_tasks(cloud, tmp_path):
    done = _release(cloud, "0.2.0", tmp_path / "record")

    assert done.returncode == 0, tools.output_of(done)
    assert _running(cloud) == _scheduled(cloud) == {"0.2.0"}
    for family in ("migrate", "cleanup", "daily", "backup", "drill", "roles"):
        assert _tag(cloud, f"{aws.NAME}-{family}") == "0.2.0"
    assert (tmp_path / "record").read_text().strip() in _snapshots(cloud)


def test_repeated_release_creates_no_second_snapshot(cloud, tmp_path):
    _release(cloud, "0.2.0", tmp_path / "record")
    before = _snapshots(cloud)

    done = _release(cloud, "0.2.0", tmp_path / "record")

    assert done.returncode == 0, tools.output_of(done)
    assert "from the record" in done.stderr
    assert _snapshots(cloud) == before


def test_dry_run_changes_nothing(cloud, tmp_path):
    before = _running(cloud), _snapshots(cloud)

    done = _release(cloud, "0.3.0", tmp_path / "record", "--dry-run")

    assert done.returncode == 0, tools.output_of(done)
    assert "would migrate with 0.3.0" in done.stderr
    assert (_running(cloud), _snapshots(cloud)) == before


def test_release_that_fails_to_start_is_rolled_back(cloud, tmp_path):
    before = _running(cloud)

    done = _release(cloud, "bad1", tmp_path / "record")

    assert done.returncode == 1, tools.output_of(done)
    assert "set back to the version before" in done.stderr
    assert _running(cloud) == before


def test_failed_migration_leaves_old_version_running(cloud, tmp_path):
    before = _running(cloud)

    done = _release(cloud, "broken1", tmp_path / "record")

    assert done.returncode == 1, tools.output_of(done)
    assert "the migration failed" in done.stderr
    assert "/ecs/vaultr-prod/jobs" in done.stderr
    assert _running(cloud) == before


def test_alarm_before_release_rejects_it(cloud, tmp_path):
    with _alarm(cloud):
        done = _release(cloud, "0.3.0", tmp_path / "record")

    assert done.returncode == 2, tools.output_of(done)
    assert f"in ALARM: {aws.NAME}-error-ratio" in done.stderr
    assert [*tmp_path.iterdir()] == []


def test_alarm_during_release_rolls_services_back(cloud, tmp_path):
    """moto sets off the alarm when a service has an image with this tag."""
    before = _running(cloud)

    try:
        done = _release(cloud, "alarm1", tmp_path / "record")
        again = _release(cloud, "alarm1", tmp_path / "record")
    finally:
        cloud.alarm("error-ratio", "OK")

    assert done.returncode == 1, tools.output_of(done)
    assert f"in ALARM: {aws.NAME}-error-ratio; the services were set back" in done.stderr
    assert again.returncode == 2, tools.output_of(again)
    assert _running(cloud) == before


def test_rejected_service_update_rolls_other_services_back(cloud, tmp_path):
    before = _running(cloud)

    done = _release(cloud, "unfit1", tmp_path / "record")

    assert done.returncode == 1, tools.output_of(done)
    assert "UpdateService failed (InvalidParameterException)" in done.stderr
    assert "set back to the version before" in done.stderr
    assert _running(cloud) == before


@pytest.mark.parametrize("by", ["record", "tag"])
def test_rollback_works_during_alarm_and_runs_no_migration(cloud, tmp_path, by):
    _release(cloud, "0.2.0", tmp_path / "first")
    _release(cloud, "0.3.0", tmp_path / "record")
    how = [RECORD, tmp_path / "record"] if by == "record" else ["--tag", "0.2.0"]
    tasks = _migrations(cloud)

    with _alarm(cloud):
        dry = cloud.run("release", "rollback", *how, "--dry-run")
        still = _running(cloud)
        done = cloud.run("release", "rollback", *how)

    assert dry.returncode == done.returncode == 0, tools.output_of(done)
    assert "back to 0.2.0" in dry.stderr
    assert still == {"0.3.0"}
    assert f"still in ALARM: {aws.NAME}-error-ratio" in done.stderr
    assert _running(cloud) == _scheduled(cloud) == {"0.2.0"}
    assert _migrations(cloud) == tasks


def test_release_after_rollback_checks_alarms_again(cloud, tmp_path):
    _release(cloud, "0.2.0", tmp_path / "first")
    _release(cloud, "0.3.0", tmp_path / "record")
    cloud.run("release", "rollback", RECORD, tmp_path / "record")

    with _alarm(cloud):
        stopped = _release(cloud, "0.3.0", tmp_path / "record")
    done = _release(cloud, "0.3.0", tmp_path / "record")
    elsewhere = cloud.run(
        "release", "rollback", RECORD, tmp_path / "record", "--name", "other-prod"
    )

    assert stopped.returncode == 2, tools.output_of(stopped)
    assert done.returncode == 0, tools.output_of(done)
    assert _running(cloud) == {"0.3.0"}
    assert elsewhere.returncode == 2, tools.output_of(elsewhere)
    assert "is the record of vaultr-prod. Add --name vaultr-prod" in elsewhere.stderr


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        ([], "Use --record FILE"),
        ([RECORD, "absent"], "Use --record FILE"),
        (["--tag", "9.9.9"], "has no image 9.9.9"),
        (["--tag", "latest"], "must be a version"),
    ],
)
def test_rollback_without_valid_version_is_rejected(cloud, arguments, about):
    done = cloud.run("release", "rollback", *arguments)

    assert done.returncode == 2, tools.output_of(done)
    assert about in done.stderr


def test_record_of_another_release_is_rejected(cloud, tmp_path):
    _release(cloud, "0.2.0", tmp_path / "record")
    before = _running(cloud), _snapshots(cloud)
    (tmp_path / "foreign").write_text("vaultr-prod-20261001-020000\n")
    (tmp_path / "broken.json").write_text("[]")

    done = [_release(cloud, "0.3.0", tmp_path / name) for name in ("record", "foreign", "broken")]

    assert [one.returncode for one in done] == [2, 2, 2], tools.output_of(done[0])
    assert "is the record of 0.2.0 to ecs" in done[0].stderr
    assert "is not a release record" in done[1].stderr
    assert "is not the record of a release" in done[2].stderr
    assert (_running(cloud), _snapshots(cloud)) == before


@pytest.mark.parametrize(
    ("tag", "about"),
    [
        ("latest", "must be a version"),
        ("9.9.9", "has no image 9.9.9"),
        ("a b", "must be a version"),
    ],
)
def test_release_with_invalid_tag_changes_nothing(cloud, tmp_path, tag, about):
    before = _running(cloud), _snapshots(cloud)

    done = _release(cloud, tag, tmp_path / "record")

    assert done.returncode == 2, tools.output_of(done)
    assert about in done.stderr
    assert (_running(cloud), _snapshots(cloud)) == before


def test_apply_after_release_preserves_released_tag(cloud, tmp_path):
    _release(cloud, "0.3.0", tmp_path / "record")

    done = cloud.run("stacks", "apply", "--parameters", cloud.parameter_folder)

    assert done.returncode == 0, tools.output_of(done)
    assert _running(cloud) == {"0.3.0"}


def test_colour_release_creates_snapshot_and_calls_blue_green(cloud, tmp_path):
    """Fake helm and kubectl record how `deploy/blue-green` calls them."""
    for name in ("helm", "kubectl"):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/called\nexit 1\n')
        path.chmod(0o755)
    path = f"{tmp_path}:{cloud.environ['PATH']}:{os.environ['PATH']}"

    done = cloud.run(
        "release",
        "green",
        "--tag",
        "0.3.0",
        RECORD,
        tmp_path / "record",
        "--values",
        "v.yaml",
        PATH=path,
    )

    assert (tmp_path / "record").read_text().strip() in _snapshots(cloud)
    assert "kubectl" in (tmp_path / "called").read_text()
    assert done.returncode in (1, 2), tools.output_of(done)


# Actions that a boto3 method needs; some methods need several.
ACTIONS = {
    "create_change_set": {"cloudformation:CreateChangeSet"},
    "create_db_snapshot": {"rds:CreateDBSnapshot", "rds:AddTagsToResource"},
    "delete_change_set": {"cloudformation:DeleteChangeSet"},
    "delete_db_snapshot": {"rds:DeleteDBSnapshot"},
    "delete_parameter": {"ssm:DeleteParameter"},
    "describe_alarms": {"cloudwatch:DescribeAlarms"},
    "describe_change_set": {"cloudformation:DescribeChangeSet"},
    "describe_db_instances": {"rds:DescribeDBInstances"},
    "describe_db_snapshots": {"rds:DescribeDBSnapshots"},
    "describe_images": {"ecr:DescribeImages"},
    "describe_services": {"ecs:DescribeServices"},
    "describe_stacks": {"cloudformation:DescribeStacks"},
    "describe_task_definition": {"ecs:DescribeTaskDefinition"},
    "describe_tasks": {"ecs:DescribeTasks"},
    "execute_change_set": {"cloudformation:ExecuteChangeSet"},
    "get_parameter": {"ssm:GetParameter"},
    "get_schedule": {"scheduler:GetSchedule"},
    "get_secret_value": {"secretsmanager:GetSecretValue", "kms:Decrypt"},
    "list_change_sets": {"cloudformation:ListChangeSets"},
    "put_object": {"s3:PutObject", "s3:GetObject"},
    "put_parameter": {"ssm:PutParameter"},
    "put_secret_value": {"secretsmanager:PutSecretValue", "kms:GenerateDataKey"},
    "register_task_definition": {"ecs:RegisterTaskDefinition", "iam:PassRole"},
    "restore_db_instance_from_db_snapshot": {"rds:RestoreDBInstanceFromDBSnapshot"},
    "run_task": {"ecs:RunTask", "iam:PassRole"},
    "update_schedule": {"scheduler:UpdateSchedule", "iam:PassRole"},
    "update_service": {"ecs:UpdateService", "iam:PassRole"},
}
SCRIPTS = (
    "stacks",
    "snapshots",
    "release",
    "account.py",
    "database_snapshot.py",
    "release_lock.py",
)
VERBS = "create|delete|describe|execute|get|list|put|register|restore|run|update"
METHOD = rf'(?:(?<=\.)|(?<=\("))((?:{VERBS})_\w+)'


def test_documented_policy_allows_exactly_the_called_actions():
    page = (tools.ROOT / "docs" / "aws.md").read_text()
    policy = json.loads(page.partition("```json\n")[2].partition("```")[0])
    actions = {action for one in policy["Statement"] for action in one["Action"]}

    texts = [(aws.FOLDER / name).read_text() for name in SCRIPTS]
    called = {name for text in texts for name in re.findall(METHOD, text)} - {"get_paginator"}
    assert called == {*ACTIONS}
    assert actions == set().union(*ACTIONS.values())


def test_docs_use_only_the_example_account_id():
    text = "".join(path.read_text() for path in sorted((tools.ROOT / "docs").glob("*.md")))

    found = {*re.findall(r"arn:aws:[\w-]+:[\w-]*:(\d+):", text)}
    found |= {*re.findall(r"(\d+)\.dkr\.ecr", text)}
    assert found == {aws.ACCOUNT}
