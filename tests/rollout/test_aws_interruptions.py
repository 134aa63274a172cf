"""deploy/aws/release: killed at each of its changes, with AWS errors, in a wrong environment."""

import itertools
import json
import signal
import threading
import time

import pytest

from tests.rollout import aws, aws_proxy, tools

NAMES = [f"{aws.NAME}-{one}" for one in ("web", "worker", "sequencer")]
# The lock, a snapshot, nine definitions, a task, three services, four schedules, the lock again.
CHANGES = ["PutParameter", "CreateDBSnapshot", "RunTask", "UpdateService",
           "Put/schedules/vaultr-prod-drill", "DeleteParameter"]  # fmt: skip
TAGS = (f"1.0.{number}" for number in itertools.count())


@pytest.fixture
def proxy(cloud):
    with aws_proxy.Proxy(cloud.port) as proxy:
        yield proxy


def _running(cloud):
    found = cloud.call("ecs", "describe_services", cluster=aws.NAME, services=NAMES)["services"]
    return {one["serviceName"]: one["taskDefinition"] for one in found}


def _tags(cloud, definitions):
    found = [cloud.call("ecs", "describe_task_definition", taskDefinition=one)["taskDefinition"]
             for one in definitions]  # fmt: skip
    return {one["containerDefinitions"][-1]["image"].rpartition(":")[2] for one in found}


def _snapshots(cloud):
    found = cloud.call("rds", "describe_db_snapshots", DBInstanceIdentifier=aws.NAME)["DBSnapshots"]
    return {one["DBSnapshotIdentifier"] for one in found}


def _kill_at_change(cloud, proxy, number, when, *command):
    """Kill a script at its change with this number; return whether it got that far."""
    process = cloud.start(*command, AWS_ENDPOINT_URL=proxy.url)
    proxy.kill(process, number, when)
    process.communicate(timeout=120)
    return process.returncode == -signal.SIGKILL


# Only the first of each kind of change in `make check-rollout`, all of them with --long.
POINTS = [(1, "after"), *(
    pytest.param(number, when, marks=pytest.mark.long)
    for number in range(20) for when in ("before", "after") if (number, when) != (1, "after")
)]  # fmt: skip


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_killed_release_completes_when_run_again(cloud, proxy, tmp_path, number, when):
    tag, before, snapshots = next(TAGS), _running(cloud), _snapshots(cloud)
    cloud.push(tag)
    record = tmp_path / "record"
    command = ["release", "ecs", "--tag", tag, "--record", record]

    assert _kill_at_change(cloud, proxy, number, when, *command)
    done = cloud.run(*command)

    assert done.returncode == 0, tools.output_of(done)
    assert _tags(cloud, _running(cloud).values()) == {tag}
    [snapshot] = _snapshots(cloud) - snapshots
    assert record.read_text() == f"{snapshot}\n"
    stored = json.loads((tmp_path / "record.json").read_text())
    assert stored["before"]["services"] == before
    back = cloud.run("release", "rollback", "--record", record)
    assert back.returncode == 0, tools.output_of(back)
    assert _running(cloud) == before


def test_kill_points_cover_all_changes_of_a_release(cloud, proxy, tmp_path):
    tag = next(TAGS)
    cloud.push(tag)

    done = cloud.run("release", "ecs", "--tag", tag, "--record", tmp_path / "record",
                     AWS_ENDPOINT_URL=proxy.url)  # fmt: skip

    assert done.returncode == 0, tools.output_of(done)
    assert len(proxy.changes) == len(POINTS) / 2
    assert {*CHANGES} <= {*proxy.changes}


def test_killed_snapshot_run_again_creates_one_snapshot(cloud, proxy, tmp_path):
    before = _snapshots(cloud)
    command = ["snapshots", "create", "--instance", aws.NAME, "--record", tmp_path / "record"]

    assert _kill_at_change(cloud, proxy, 0, "after", *command)
    done = cloud.run(*command)

    assert done.returncode == 0, tools.output_of(done)
    assert _snapshots(cloud) - before == {done.stdout.strip()}
    assert (tmp_path / "record").read_text() == done.stdout
    assert not (tmp_path / "record.part").exists()


def test_create_replaces_record_of_finished_snapshot(cloud, tmp_path):
    done = []
    for _ in range(2):
        done.append(cloud.run("snapshots", "create", "--instance", aws.NAME,
                              "--record", tmp_path / "record"))  # fmt: skip
        time.sleep(1)  # the time is part of the name

    assert done[0].stdout != done[1].stdout
    assert (tmp_path / "record").read_text() == done[1].stdout


@pytest.mark.parametrize(
    ("operation", "code", "about"),
    [
        ("DescribeImages", "ExpiredTokenException", "the credentials have expired. Log in again"),
        ("DescribeImages", "AccessDeniedException", "docs/aws.md#what-the-scripts-may-do"),
        ("DescribeStacks", "AccessDenied", "the credentials may not call DescribeStacks"),
        ("DescribeServices", "AccessDeniedException", "may not call DescribeServices"),
    ],
)
def test_aws_error_prints_message_without_traceback_or_changes(
    cloud, proxy, tmp_path, operation, code, about
):
    proxy.errors[operation] = code

    done = cloud.run("release", "ecs", "--tag", "0.2.0", "--record", tmp_path / "record",
                     AWS_ENDPOINT_URL=proxy.url)  # fmt: skip

    assert done.returncode == 2, tools.output_of(done)
    assert about in done.stderr
    assert "Traceback" not in done.stderr
    assert proxy.changes == []


def test_denied_access_to_recorded_snapshot_creates_no_second_one(cloud, proxy, tmp_path):
    record, tag = tmp_path / "record", next(TAGS)
    cloud.push(tag)
    cloud.run("release", "ecs", "--tag", tag, "--record", record)
    before = _snapshots(cloud)
    proxy.errors["DescribeDBSnapshots"] = "AccessDenied"

    done = cloud.run("release", "ecs", "--tag", tag, "--record", record,
                     AWS_ENDPOINT_URL=proxy.url)  # fmt: skip

    assert done.returncode == 2, tools.output_of(done)
    assert "may not call DescribeDBSnapshots" in done.stderr
    assert _snapshots(cloud) == before


def test_status_without_permission_fails(cloud, proxy):
    proxy.errors["DescribeServices"] = "AccessDeniedException"

    done = cloud.run(
        "stacks", "status", "--parameters", cloud.parameter_folder, AWS_ENDPOINT_URL=proxy.url
    )

    assert done.returncode == 2, tools.output_of(done)
    assert "image: none" not in done.stdout


def test_failed_revert_of_services_prints_rollback_command(cloud, proxy, tmp_path):
    proxy.errors["UpdateService"] = "AccessDeniedException"
    proxy.successes["UpdateService"] = 1  # one service has the new version, and keeps it
    record, tag = tmp_path / "record", next(TAGS)
    cloud.push(tag)

    done = cloud.run("release", "ecs", "--tag", tag, "--record", record,
                     AWS_ENDPOINT_URL=proxy.url)  # fmt: skip
    back = cloud.run("release", "rollback", "--record", record)

    assert done.returncode == 1, tools.output_of(done)
    assert f"deploy/aws/release rollback --name {aws.NAME} --record {record}" in done.stderr
    assert back.returncode == 0, tools.output_of(back)


STACK = """
<DescribeStacksResponse><DescribeStacksResult><Stacks><member>
  <StackName>it</StackName><StackStatus>{}</StackStatus>
  <CreationTime>2026-01-01T00:00:00Z</CreationTime>
</member></Stacks></DescribeStacksResult></DescribeStacksResponse>
"""


@pytest.mark.parametrize(
    ("state", "way"),
    [
        ("ROLLBACK_COMPLETE", "delete-stack"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
    ],
)
def test_stack_in_failed_state_rejects_apply_and_release(cloud, proxy, tmp_path, state, way):
    proxy.answers["DescribeStacks"] = STACK.format(state)

    done = [
        cloud.run("stacks", "apply", "--parameters", cloud.parameter_folder,
                  AWS_ENDPOINT_URL=proxy.url),
        cloud.run("release", "ecs", "--tag", "0.2.0", "--record", tmp_path / "record",
                  AWS_ENDPOINT_URL=proxy.url),
    ]  # fmt: skip

    assert [one.returncode for one in done] == [2, 2], tools.output_of(done[0])
    assert f"run `aws cloudformation {way}" in done[0].stderr
    assert f"the stack vaultr-prod-app is {state}" in done[1].stderr
    assert proxy.changes == []


def test_release_during_service_deployment_is_rejected(cloud, proxy, tmp_path):
    found = cloud.call("ecs", "describe_services", cluster=aws.NAME, services=NAMES)
    services = [
        {
            "serviceName": one["serviceName"], "status": "ACTIVE",
            "taskDefinition": one["taskDefinition"],
            "deployments": [{"rolloutState": "IN_PROGRESS"}, {"rolloutState": "COMPLETED"}],
        }
        for one in found["services"]
    ]  # fmt: skip
    proxy.answers["DescribeServices"] = json.dumps({"services": services, "failures": []})

    done = cloud.run("release", "ecs", "--tag", "0.2.0", "--record", tmp_path / "record",
                     AWS_ENDPOINT_URL=proxy.url)  # fmt: skip

    assert done.returncode == 2, tools.output_of(done)
    assert "vaultr-prod-web is being deployed. Wait until it is steady" in done.stderr
    assert proxy.changes == []


# --- one release at a time -----------------------------------------------------------------

LOCK = f"/{aws.NAME}/release"


def test_only_one_of_three_concurrent_releases_starts(cloud, proxy, tmp_path):
    """All have passed their checks before the first of them takes the lock."""
    tags, snapshots = [next(TAGS) for _ in range(3)], _snapshots(cloud)
    cloud.push(*tags)
    proxy.barriers["PutParameter"] = threading.Barrier(len(tags))
    processes = [
        cloud.start("release", "ecs", "--tag", tag, "--record", tmp_path / tag,
                    AWS_ENDPOINT_URL=proxy.url)
        for tag in tags
    ]  # fmt: skip

    errors = [one.communicate(timeout=240)[1] for one in processes]

    codes = [one.returncode for one in processes]
    assert sorted(codes) == [0, 2, 2], errors
    winner = tags[codes.index(0)]
    assert all("another release runs" in text for text in errors if f"{winner} runs" not in text)
    assert _tags(cloud, _running(cloud).values()) == {winner}
    assert len(_snapshots(cloud) - snapshots) == proxy.calls.count("RunTask") == 1
    # A rejected release leaves no files, and can start after the other one has ended.
    assert {path.name for path in tmp_path.iterdir()} == {winner, f"{winner}.json"}
    assert cloud.call("ssm", "get_parameter", Name=LOCK) == {"error": "ParameterNotFound"}


def test_lock_of_killed_release_rejects_other_releases(cloud, proxy, tmp_path):
    tag, other = next(TAGS), next(TAGS)
    cloud.push(tag, other)
    command = ["release", "ecs", "--tag", tag, "--record", tmp_path / "record"]
    assert _kill_at_change(cloud, proxy, 1, "after", *command)
    before = _snapshots(cloud), _running(cloud)

    elsewhere = [
        cloud.run("release", "ecs", "--tag", other, "--record", tmp_path / "other"),
        cloud.run("release", "ecs", "--tag", other, "--record", tmp_path / "other", "--dry-run"),
        cloud.run("release", "green", "--tag", other, "--record", tmp_path / "other"),
        cloud.run("release", "rollback", "--tag", "0.1.0"),
    ]

    assert [one.returncode for one in elsewhere] == [2] * 4, tools.output_of(elsewhere[0])
    assert f"another release runs ({tag} to ecs, " in elsewhere[0].stderr
    assert f"aws ssm delete-parameter --name {LOCK}" in elsewhere[0].stderr
    assert (_snapshots(cloud), _running(cloud)) == before
    assert cloud.run(*command).returncode == 0


def test_second_start_of_running_release_is_rejected(cloud, proxy, tmp_path):
    tag = next(TAGS)
    cloud.push(tag)
    command = ["release", "ecs", "--tag", tag, "--record", tmp_path / "record"]
    proxy.errors["DescribeTasks"] = "ThrottlingException"  # the migration never ends
    first = cloud.start(*command, AWS_ENDPOINT_URL=proxy.url)
    while "DescribeTasks" not in proxy.calls and first.poll() is None:
        time.sleep(0.05)

    second = cloud.run(*command)
    first.kill()
    first.communicate()

    assert second.returncode == 2, tools.output_of(second)
    assert "another command uses" in second.stderr
    assert cloud.run(*command).returncode == 0


def test_failed_release_removes_its_lock(cloud, tmp_path):
    cloud.push("broken2")

    done = cloud.run("release", "ecs", "--tag", "broken2", "--record", tmp_path / "record")

    assert done.returncode == 1, tools.output_of(done)
    assert cloud.call("ssm", "get_parameter", Name=LOCK) == {"error": "ParameterNotFound"}


# --- environment ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "about"),
    [
        ({"POLL_SECONDS": "often"}, "POLL_SECONDS: must be a number"),
        ({"WAIT_SECONDS": "-1"}, "WAIT_SECONDS: must be a number"),
        ({"AWS_ENDPOINT_URL": "localhost:5000"}, "AWS_ENDPOINT_URL: must be a URL"),
        ({"AWS_ENDPOINT_URL": "http://[::1"}, "AWS_ENDPOINT_URL: must be a URL"),
    ],
)
def test_error_names_invalid_environment_variable(cloud, environ, about):
    done = cloud.run("snapshots", "latest", "--instance", aws.NAME, **environ)

    assert done.returncode == 2, tools.output_of(done)
    assert about in done.stderr
    assert "Traceback" not in done.stderr


def test_unwritable_record_file_stops_before_changes(cloud, tmp_path):
    before = _snapshots(cloud)

    done = [
        cloud.run("snapshots", "create", "--instance", aws.NAME, "--record", tmp_path / "no" / "x"),
        cloud.run("release", "ecs", "--tag", "0.2.0", "--record", tmp_path / "no" / "x"),
    ]

    assert [one.returncode for one in done] == [2, 2], tools.output_of(done[0])
    assert "No such file or directory" in done[0].stderr
    assert _snapshots(cloud) == before


def test_sigint_exits_with_130_and_prints_how_to_continue(cloud, proxy, tmp_path):
    cloud.push("1.1.0")
    proxy.errors["DescribeTasks"] = "ThrottlingException"  # the migration never ends
    command = ["release", "ecs", "--tag", "1.1.0", "--record", tmp_path / "record"]
    process = cloud.start(*command, AWS_ENDPOINT_URL=proxy.url)
    while "DescribeTasks" not in proxy.calls and process.poll() is None:
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert "interrupted. Run the same command again" in errors
    assert "Traceback" not in errors
    assert cloud.run(*command).returncode == 0
