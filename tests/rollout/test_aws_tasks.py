"""The tasks of deploy/aws/app.yaml: their secrets, users, volumes and sizes."""

import json
import re
import subprocess
import sys

import pytest

from tests.rollout import aws, tools
from tests.rollout.aws import resources, template

# Secrets in the templates that are not server settings: for the role task and the drill.
NO_SETTINGS = {"PGPASSWORD", "SEQUENCER_DATABASE_URL", "BACKUP_IDENTITY"}


def test_tasks_list_exactly_the_secrets_of_the_settings():
    done = subprocess.run(
        [sys.executable, "-m", "flask", "settings", "--json"],
        cwd=tools.ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    settings = {one["name"]: one for one in json.loads(done.stdout)}
    secret = {name for name, one in settings.items() if one["secret"]}
    required = {name for name, one in settings.items() if one["required_in_production"]}

    listed = {one["Name"] for task in aws.tasks().values() for one in task["Secrets"]}
    plain = {one["Name"] for task in aws.tasks().values() for one in task["Environment"]}
    plain -= {one for one in plain if one.startswith("PG")}
    # Authorities are public, but too long for a template parameter.
    assert listed - NO_SETTINGS - {"DATABASE_CA"} == secret
    assert plain <= {*settings}
    assert not plain & secret
    assert required <= listed | plain


@pytest.mark.parametrize(
    "name", ["web", "worker", "cleanup", "daily", "backup", "migrate", "drill"]
)
def test_task_other_than_sequencer_gets_no_signing_key(name):
    secrets = {one["Name"]: one["ValueFrom"] for one in aws.tasks()[name]["Secrets"]}

    assert "CHECKPOINT_KEY" not in secrets
    assert ("BACKUP_IDENTITY" in secrets) == (name == "drill")
    owner = {"Ref": "MigrationDatabaseUrlSecretArn"}
    assert (secrets["DATABASE_URL"] == owner) == (name == "migrate")


def test_only_sequencer_mounts_the_encrypted_state_volume():
    [task] = [
        one for one in resources("app", "ECS::TaskDefinition").values()
        if one["ContainerDefinitions"][-1]["Name"] == "sequencer"
    ]  # fmt: skip
    [state] = resources("app", "EFS::FileSystem").values()
    users = [
        one for one in resources("app", "ECS::TaskDefinition").values() if "EFSVolume" in str(one)
    ]
    main = task["ContainerDefinitions"][-1]
    environ = {one["Name"]: one["Value"] for one in main["Environment"]}
    places = {one["SourceVolume"]: one["ContainerPath"] for one in main["MountPoints"]}

    assert users == [task]
    assert state["Encrypted"] is True
    assert state["BackupPolicy"] == {"Status": "DISABLED"}
    assert environ["AUDIT_STATE_FILE"] == f"{places['state']}/audit-state"
    assert {"Name": "CHECKPOINT_KEY", "ValueFrom": {"Ref": "CheckpointKeySecretArn"}} in main[
        "Secrets"
    ]
    [service] = [
        one for name, one in resources("app", "ECS::Service").items() if "Sequencer" in name
    ]
    assert service["DeploymentConfiguration"]["MaximumPercent"] == 100


@pytest.mark.parametrize("name", [*aws.tasks()])
def test_task_is_read_only_unprivileged_and_without_capabilities(name):
    [task] = [
        one for one in resources("app", "ECS::TaskDefinition").values()
        if one["ContainerDefinitions"][-1]["Name"] == name
    ]  # fmt: skip
    prepare, main = task["ContainerDefinitions"]

    assert main["ReadonlyRootFilesystem"] is prepare["ReadonlyRootFilesystem"] is True
    assert main["User"] == "10001:10001"
    assert main["StopTimeout"] == 60
    assert main["LinuxParameters"] == {"Capabilities": {"Drop": ["ALL"]}}
    assert main["DependsOn"] == [{"ContainerName": "prepare", "Condition": "SUCCESS"}]
    # `prepare` has no secrets, and only makes the empty volume writable.
    assert prepare["Command"] == ["chmod", "1777", "/tmp"]
    assert "Secrets" not in prepare
    assert task["NetworkMode"] == "awsvpc"
    assert main["LogConfiguration"]["LogDriver"] == "awslogs"


def test_web_task_has_size_and_probes_of_the_guide():
    web = aws.tasks()["web"]
    [task] = [one for one in resources("app", "ECS::TaskDefinition").values()
              if one["ContainerDefinitions"][-1] is web]  # fmt: skip
    [service] = [one for name, one in resources("app", "ECS::Service").items() if "Web" in name]
    [targets] = resources("app", "ElasticLoadBalancingV2::TargetGroup").values()

    assert (task["Cpu"], task["Memory"]) == ("512", "1024")
    assert web["PortMappings"] == [{"ContainerPort": 3000, "Protocol": "tcp"}]
    assert web["HealthCheck"]["Command"] == ["CMD", "python", "-m", "vaultr.healthcheck"]
    assert template("app")["Parameters"]["WebTasks"]["Default"] == 2
    rules = service["DeploymentConfiguration"]
    assert rules["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert rules["Alarms"]["AlarmNames"] == [{"Ref": "ErrorRatio"}, {"Ref": "BalancerErrors"}]
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert targets["HealthCheckPath"] == "/api/ready"


def test_image_repository_scans_images_and_expires_old_ones():
    [repository] = resources("data", "ECR::Repository").values()
    rules = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]

    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert [one["action"]["type"] for one in rules] == ["expire", "expire"]


def test_template_rejects_moving_image_tags():
    pattern = template("app")["Parameters"]["ImageTag"]["AllowedPattern"]

    assert re.fullmatch(pattern, "0.1.0")
    assert not [
        tag for tag in ("latest", "main", "stable", "", "a b") if re.fullmatch(pattern, tag)
    ]


def test_scheduled_tasks_equal_the_cron_jobs_of_the_chart():
    found = {
        name.removesuffix("Schedule").lower(): one["Target"]["EcsParameters"]["TaskDefinitionArn"]
        for name, one in resources("app", "Scheduler::Schedule").items()
    }

    assert found == {name: {"Ref": f"{name.title()}Task"} for name in found}
    assert {*found} == {"cleanup", "daily", "backup", "drill"}


def test_execution_role_reads_only_secrets_of_its_tasks():
    roles = resources("app", "IAM::Role")
    for one in resources("app", "ECS::TaskDefinition").values():
        [role] = [one["ExecutionRoleArn"]["Fn::GetAtt"][0].removesuffix(".Arn")]
        allowed = json.dumps([
            statement["Resource"] for policy in roles[role]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Action"] == "secretsmanager:GetSecretValue"
        ])  # fmt: skip
        listed = set(
            re.findall(r"(\w+SecretArn)", json.dumps(one["ContainerDefinitions"][-1]["Secrets"]))
        )
        assert listed == set(re.findall(r"(\w+SecretArn)", allowed)), role
