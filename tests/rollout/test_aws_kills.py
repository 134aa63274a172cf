"""deploy/aws/stacks and snapshots, killed at each change: running them again completes."""

import itertools
import signal

import pytest

from tests.rollout import aws, aws_proxy, tools
from tests.rollout.aws import CREATED, NOT_BY_MOTO

MOST_CHANGES = 60  # of one command; far more than any command makes
SECRETS = ("DATABASE_URL", "MIGRATION_DATABASE_URL", "SEQUENCER_DATABASE_URL")
SERVICES = [f"{aws.NAME}-{one}" for one in ("web", "worker", "sequencer")]
RESTORED = f"{aws.NAME}-restore"


def _kill_at_change(cloud, number, when, *command):
    """Kill a script at its change with this number; return whether it got that far."""
    with aws_proxy.Proxy(cloud.port) as proxy:
        process = cloud.start(*command, AWS_ENDPOINT_URL=proxy.url)
        proxy.kill(process, number, when)
        output = "".join(process.communicate(timeout=240))
    assert process.returncode in (0, -signal.SIGKILL), output
    return process.returncode != 0


def _kill_at_every_change(cloud, *command):
    """Kill a command at its first change, then at its second, …; return the number of kills."""
    for number, (change, when) in enumerate(
        itertools.product(range(MOST_CHANGES), ("before", "after"))
    ):
        if not _kill_at_change(cloud, change, when, *command):
            return number
    raise AssertionError("the command never finishes")


def _kinds(cloud, stem):
    found = cloud.call("cloudformation", "describe_stack_resources", StackName=f"{aws.NAME}-{stem}")
    kinds = {one.get("ResourceType", "") for one in found["StackResources"]} - {""}
    return {kind.removeprefix("AWS::") for kind in kinds}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An account without stacks, whose repository gets an image as soon as it exists."""
    with aws.Cloud(tmp_path_factory.mktemp("kills")) as cloud:
        cloud.prepare()
        yield cloud


@pytest.mark.parametrize("stem", ["network", *(
    pytest.param(one, marks=pytest.mark.long) for one in aws.STACKS[1:])])  # fmt: skip
def test_killed_apply_completes_when_run_again(empty, stem):
    command = ["stacks", "apply", stem, "--parameters", empty.parameter_folder]
    if stem == "app":
        empty.push("0.1.0")

    killed = _kill_at_every_change(empty, *command)

    # before and after creating the change set, and before and after executing it
    assert killed >= 4
    assert _kinds(empty, stem) - NOT_BY_MOTO == CREATED[stem]
    found = empty.call("cloudformation", "describe_stacks", StackName=f"{aws.NAME}-{stem}")
    assert found["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    again = empty.run(*command)
    assert again.stdout == f"{aws.NAME}-{stem}: up to date\n", tools.output_of(again)


# --- restore -------------------------------------------------------------------------------


def _stored(cloud):
    return [
        cloud.call("secretsmanager", "get_secret_value", SecretId=f"{aws.NAME}/{one}")[
            "SecretString"
        ]
        for one in SECRETS
    ]


@pytest.fixture
def installed(cloud):
    """The account with its original secrets, and without a restored database afterwards."""
    secrets = _stored(cloud)
    yield cloud
    cloud.call("rds", "modify_db_instance", DBInstanceIdentifier=RESTORED,
               DeletionProtection=False, ApplyImmediately=True)  # fmt: skip
    cloud.call("rds", "delete_db_instance", DBInstanceIdentifier=RESTORED, SkipFinalSnapshot=True)
    for one, text in zip(SECRETS, secrets, strict=True):
        cloud.call("secretsmanager", "put_secret_value", SecretId=f"{aws.NAME}/{one}",
                   SecretString=text)  # fmt: skip


# The second instance, three secrets, three services.
RESTORE_CHANGES = 7
POINTS = [(0, "after"), (2, "after"), *(
    pytest.param(number, when, marks=pytest.mark.long)
    for number in range(RESTORE_CHANGES) for when in ("before", "after")
    if (number, when) not in ((0, "after"), (2, "after"))
)]  # fmt: skip


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_killed_restore_completes_when_run_again(installed, number, when):
    name = f"before-{number}-{when}"
    installed.snapshot(name, "2026-11-30T11:00:00+00:00")
    command = ["snapshots", "restore", "--instance", aws.NAME, "--snapshot", name]

    assert _kill_at_change(installed, number, when, *command)
    done = installed.run(*command)

    assert done.returncode == 0, tools.output_of(done)
    [found] = installed.call("rds", "describe_db_instances", DBInstanceIdentifier=RESTORED)[
        "DBInstances"
    ]
    assert {"Key": "vaultr:restored-from", "Value": name} in found["TagList"]
    address = found["Endpoint"]["Address"]
    assert all(f"@{address}:5432/" in url for url in _stored(installed))
    services = installed.call("ecs", "describe_services", cluster=aws.NAME, services=SERVICES)
    states = {one["deployments"][0]["rolloutState"] for one in services["services"]}
    assert states == {"COMPLETED"}


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(one, marks=pytest.mark.long) for one in (1, 2))]
)
def test_killed_prune_run_again_keeps_newest_of_month(cloud, number):
    old = [f"old-{number}-{day}" for day in range(4)]
    for day, name in enumerate(old):
        cloud.snapshot(name, f"2025-0{1 + number}-0{1 + day}T02:00:00+00:00")
    command = ["snapshots", "prune", "--instance", aws.NAME, "--keep-days", "30"]

    assert _kill_at_change(cloud, number, "after", *command)
    done = cloud.run(*command)

    assert done.returncode == 0, tools.output_of(done)
    found = cloud.call("rds", "describe_db_snapshots", DBInstanceIdentifier=aws.NAME)
    names = {one["DBSnapshotIdentifier"] for one in found["DBSnapshots"]}
    assert names & {*old} == {old[-1]}  # the newest of its month
