"""deploy/aws/stacks with moto: created resources, rejected changes, and interrupted runs."""

import json

import pytest

from tests.rollout import aws, aws_proxy, tools
from tests.rollout.aws import CREATED, NOT_BY_MOTO

NINE_DIGITS = "arn:aws:backup:eu-west-1:123456789:backup-vault:x"


def test_first_apply_without_image_stops_before_app_stack(cloud):
    assert cloud.first.returncode == 1, tools.output_of(cloud.first)
    assert "has no image 0.1.0. Push it first" in cloud.first.stderr
    assert "(docs/aws.md#image)" in cloud.first.stderr
    assert "vaultr-prod-mail: add Identity" in cloud.first.stdout


def test_second_apply_continues_after_image_push(cloud):
    assert cloud.second.returncode == 0, tools.output_of(cloud.second)
    assert "vaultr-prod-network: up to date" in cloud.second.stdout
    assert "vaultr-prod-app: add WebService" in cloud.second.stdout


@pytest.mark.parametrize("stem", aws.STACKS)
def test_moto_creates_all_supported_types_of_stack(cloud, stem):
    found = cloud.call("cloudformation", "describe_stack_resources", StackName=f"{aws.NAME}-{stem}")
    kinds = {one["ResourceType"] for one in found["StackResources"] if "ResourceType" in one}
    kinds = {kind.removeprefix("AWS::") for kind in kinds}
    declared = {
        one["Type"].removeprefix("AWS::") for one in aws.template(stem)["Resources"].values()
    }

    assert kinds - NOT_BY_MOTO == CREATED[stem]
    assert declared - NOT_BY_MOTO == CREATED[stem]


def test_created_database_has_settings_of_template(cloud):
    databases = cloud.call("rds", "describe_db_instances", DBInstanceIdentifier=aws.NAME)

    [found] = databases["DBInstances"]
    assert found["BackupRetentionPeriod"] == 30
    assert found["MultiAZ"] is found["StorageEncrypted"] is True
    assert found["PubliclyAccessible"] is False
    assert found["StorageType"] == "gp3"


def test_created_log_groups_expire_after_400_days(cloud):
    groups = cloud.call("logs", "describe_log_groups")["logGroups"]

    assert {"/ecs/vaultr-prod/web", "/vpc/vaultr-prod"} <= {one["logGroupName"] for one in groups}
    assert {one["retentionInDays"] for one in groups} == {400}


def test_created_image_repository_has_immutable_tags(cloud):
    [found] = cloud.call("ecr", "describe_repositories")["repositories"]

    assert found["imageTagMutability"] == "IMMUTABLE"


def test_plan_without_changes_reports_up_to_date(cloud):
    done = cloud.run("stacks", "plan", "--parameters", cloud.parameter_folder)

    assert done.returncode == 0, tools.output_of(done)
    assert {line.partition(": ")[2] for line in done.stdout.splitlines()} == {"up to date"}


def test_plan_and_dry_run_change_nothing(cloud):
    folder = cloud.parameters(network={"LogRetentionDays": "731"}, app={"Serve": "yes"})

    done = [cloud.run("stacks", *how, "network", "--parameters", folder)
            for how in (["plan"], ["apply", "--dry-run"])]  # fmt: skip

    assert [one.returncode for one in done] == [0, 0], tools.output_of(done[0])
    groups = cloud.call("logs", "describe_log_groups")["logGroups"]
    assert {one["retentionInDays"] for one in groups} == {400}


def test_status_shows_every_stack_and_running_image(cloud):
    done = cloud.run("stacks", "status", "--parameters", cloud.parameter_folder)

    assert done.stdout.count("CREATE_COMPLETE") == len(aws.STACKS)
    assert "image: " in done.stdout


@pytest.mark.parametrize(
    ("changed", "about"),
    [
        ({"network": {"AlarmEmail": None}}, "AlarmEmail: missing"),
        ({"network": {"Colour": "red"}}, "Colour: the template has no such parameter"),
        ({"network": {"Egress": "open"}}, "Egress: must be one of nat, endpoints"),
        ({"network": {"VpcPrefix": "11.20"}}, "VpcPrefix: '11.20' does not match"),
        ({"data": {"BackupRetentionDays": "3"}}, "BackupRetentionDays: must be from 7 to 35"),
        ({"data": {"DatabaseVersion": "14.7"}}, "DatabaseVersion: '14.7' does not match"),
        ({"app": {"WebTasks": "1"}}, "WebTasks: must be from 2 to 50"),
        ({"backup": {"CopyVaultArn": NINE_DIGITS}}, "CopyVaultArn"),
        ({"mail": {"Name": "other"}}, "Name: must be the same in all parameter files"),
    ],
)  # fmt: skip
def test_plan_rejects_invalid_parameters(cloud, changed, about):
    folder = cloud.parameters(**{"app": {"Serve": "yes"}, **changed})

    done = cloud.run("stacks", "plan", "--parameters", folder)

    assert done.returncode == 2, tools.output_of(done)
    assert about in done.stderr
    assert "Nothing was changed" in done.stderr


CHANGE_SET = """
<DescribeChangeSetResponse><DescribeChangeSetResult>
  <Status>CREATE_COMPLETE</Status>
  <Changes><member><Type>Resource</Type><ResourceChange>
    <Action>{action}</Action><LogicalResourceId>It</LogicalResourceId>
    <ResourceType>AWS::{kind}</ResourceType><Replacement>{replacement}</Replacement>
  </ResourceChange></member></Changes>
</DescribeChangeSetResult></DescribeChangeSetResponse>
"""
HOLDS_DATA = (
    "RDS::DBInstance", "S3::Bucket", "EFS::FileSystem", "KMS::Key", "SecretsManager::Secret",
    "Backup::BackupVault", "ECR::Repository",
)  # fmt: skip


def _changed(cloud, kind, action="Modify", replacement="False"):
    """Apply a change of parameters for which AWS plans such a change of one resource."""
    folder = cloud.parameters(network={"LogRetentionDays": "731"}, app={"Serve": "yes"})
    with aws_proxy.Proxy(cloud.port) as proxy:
        proxy.answers["DescribeChangeSet"] = CHANGE_SET.format(
            kind=kind, action=action, replacement=replacement
        )
        done = cloud.run("stacks", "apply", "network", "--parameters", folder,
                         AWS_ENDPOINT_URL=proxy.url)  # fmt: skip
    return done, proxy.changes


@pytest.mark.parametrize("kind", HOLDS_DATA)
@pytest.mark.parametrize(
    "how", [{"replacement": "True"}, {"replacement": "Conditional"}, {"action": "Remove"}]
)
@pytest.mark.matrix(3)
def test_change_that_may_replace_data_is_rejected(cloud, kind, how):
    done, changes = _changed(cloud, kind, **how)

    assert done.returncode == 2, tools.output_of(done)
    assert "this would replace or remove It, or could" in done.stderr
    assert changes == ["CreateChangeSet", "DeleteChangeSet"]


def test_every_data_holding_type_is_in_a_template():
    declared = {
        one["Type"] for stem in aws.STACKS for one in aws.template(stem)["Resources"].values()
    }

    assert {f"AWS::{kind}" for kind in HOLDS_DATA} <= declared


def test_plan_without_image_tag_is_rejected(cloud):
    folder = cloud.parameters(app={"Serve": "yes", "ImageTag": None})

    done = cloud.run("stacks", "plan", "--parameters", folder)

    assert done.returncode == 2, tools.output_of(done)
    assert "ImageTag: missing" in done.stderr


def test_missing_parameter_file_and_unknown_stack_are_rejected(cloud, tmp_path):
    done = [
        cloud.run("stacks", "plan", "--parameters", tmp_path),
        cloud.run("stacks", "plan", "cdn"),
    ]

    assert [one.returncode for one in done] == [2, 2]
    assert "network.json is missing" in done[0].stderr
    assert "unknown stack cdn" in done[1].stderr


def test_unreachable_aws_endpoint_fails_without_traceback(cloud):
    done = cloud.run("stacks", "status", AWS_ENDPOINT_URL="http://127.0.0.1:9")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_example_parameters_name_no_real_account():
    for path in sorted((aws.FOLDER / "parameters").iterdir()):
        text = path.read_text()
        assert json.loads(text)
        assert {"111122223333"} >= {
            one for one in text.split(":") if one.isdigit() and len(one) > 8
        }
