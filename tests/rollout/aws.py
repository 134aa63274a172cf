"""An AWS account, simulated by moto, and the templates that create Vaultr in it."""

import functools
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

import yaml

from tests.harness import servers
from tests.rollout import tools

FOLDER = tools.ROOT / "deploy" / "aws"
STACKS = ("network", "data", "mail", "app", "edge", "backup")
PYTHON = tools.FOLDER / "requirements" / "bin" / "python"
ACCOUNT, REGION, NAME = "111122223333", "eu-central-1", "vaultr-prod"
START_SECONDS = 60


class _Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation functions."""


def _function(loader, suffix, node):
    value = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: functools.partial(loader.construct_sequence, deep=True),
        yaml.MappingNode: functools.partial(loader.construct_mapping, deep=True),
    }[type(node)](node)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)


@functools.cache
def template(stem):
    """Return a template as a mapping, with functions in their long form."""
    return yaml.load((FOLDER / f"{stem}.yaml").read_text(), _Loader)


def resources(stem, kind):
    """Return the properties of all resources of a type, by name."""
    found = template(stem)["Resources"]
    short = f"AWS::{kind}"
    return {name: one.get("Properties", {}) for name, one in found.items() if one["Type"] == short}


def tasks():
    """Return the main container of each task definition, by the name of the container."""
    found = resources("app", "ECS::TaskDefinition").values()
    return {
        one["ContainerDefinitions"][-1]["Name"]: one["ContainerDefinitions"][-1] for one in found
    }


def reach():
    """Return the rules of the security groups as (from, to, port); users have no name."""
    found = set()
    for one in resources("network", "EC2::SecurityGroupIngress").values():
        source = one.get("SourceSecurityGroupId", {}).get("Fn::GetAtt", [""])[0]
        target = one["GroupId"]["Fn::GetAtt"][0]
        found.add((source.removesuffix("Group"), target.removesuffix("Group"), one["FromPort"]))
    return found


class Cloud:
    """A running moto, and the scripts of deploy/aws that use it."""

    def __init__(self, folder):
        self.folder = folder
        self.port = servers.free_port()
        self.environ = {
            "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "MOTO_ACCOUNT_ID": ACCOUNT,
            "MOTO_ECS_SERVICE_RUNNING": "99",
            "POLL_SECONDS": "0.1",
            "WAIT_SECONDS": "60",
        }

    def __enter__(self):
        with (self.folder / "moto.log").open("wb") as out:
            script = tools.ROOT / "tests" / "rollout" / "aws_server.py"
            command = [PYTHON, "-W", "ignore", script, str(self.port)]
            self._server = subprocess.Popen(command, env=self.environ, stdout=out, stderr=out)
        self._calls = subprocess.Popen(
            [PYTHON, tools.ROOT / "tests" / "rollout" / "aws_calls.py"],
            env=self.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._wait()
        return self

    def __exit__(self, *_):
        self._calls.stdin.close()
        self._calls.wait(20)
        self._calls.stdout.close()
        self._server.kill()  # it stores nothing, and would wait for open connections
        self._server.wait(20)

    def _wait(self):
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/moto-api/", timeout=5).close()
            except (OSError, urllib.error.URLError):
                if time.monotonic() > until or self._server.poll() is not None:
                    raise RuntimeError((self.folder / "moto.log").read_text()[-2000:]) from None
                time.sleep(0.2)
            else:
                return

    def call(self, service, method, **arguments):
        """Call one AWS operation, and return its response or ``{"error": CODE}``."""
        self._calls.stdin.write(json.dumps([service, method, arguments]) + "\n")
        self._calls.stdin.flush()
        return json.loads(self._calls.stdout.readline())

    def run(self, script, *arguments, **environ):
        """Run a script of deploy/aws to its end."""
        return subprocess.run(
            [PYTHON, FOLDER / script, *map(str, arguments)],
            env=self.environ | environ, capture_output=True, text=True,
        )  # fmt: skip

    def start(self, script, *arguments, **environ):
        """Start a script of deploy/aws without waiting for it."""
        return subprocess.Popen(
            [PYTHON, FOLDER / script, *map(str, arguments)],
            env=self.environ | environ,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # A shell starts background commands with this signal ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def alarm(self, name, state):
        """Set the state of an alarm of the installation."""
        self.call(
            "cloudwatch", "set_alarm_state",
            AlarmName=f"{NAME}-{name}", StateValue=state, StateReason="test",
        )  # fmt: skip

    def push(self, *tags):
        """Push images with these tags to the repository."""
        for tag in tags:
            config = {"mediaType": "x", "size": 1, "digest": f"sha256:{tag.encode().hex():0>64}"}
            manifest = {"schemaVersion": 2, "config": config, "layers": []}
            manifest["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
            text = json.dumps(manifest)
            self.call("ecr", "put_image", repositoryName=NAME, imageManifest=text, imageTag=tag)

    def snapshot(self, name, created, **tags):
        """Create a snapshot of the database that is as old as ``created``."""
        tags = [{"Key": f"test:{key}", "Value": value}
                for key, value in {"created": created, **tags}.items()]  # fmt: skip
        self.call(
            "rds", "create_db_snapshot",
            DBInstanceIdentifier=NAME, DBSnapshotIdentifier=name, Tags=tags,
        )  # fmt: skip

    def parameters(self, **changed):
        """Write a folder of parameter files with the zone of this account, and return it."""
        folder = self.folder / f"parameters-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        for stem in STACKS:
            entries = json.loads((FOLDER / "parameters" / f"{stem}.json").read_text())
            values = {one["ParameterKey"]: one["ParameterValue"] for one in entries}
            if "HostedZoneId" in values:
                values["HostedZoneId"] = self.zone
            values |= changed.get(stem, {})
            entries = [
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in values.items()
                if value is not None
            ]
            (folder / f"{stem}.json").write_text(json.dumps(entries))
        return folder

    def install(self):
        """Create all stacks in the empty account, and put URLs into the database secrets."""
        self.prepare()
        self.first = self.run("stacks", "apply", "--parameters", self.parameter_folder)
        self.push("0.1.0", "0.2.0", "0.3.0", "bad1", "broken1", "alarm1", "unfit1")
        self.second = self.run("stacks", "apply", "--parameters", self.parameter_folder)
        self.configure()

    def prepare(self):
        """Create the zone, and a folder of parameters for it."""
        created = self.call(
            "route53", "create_hosted_zone", Name="example.org", CallerReference="1"
        )
        self.zone = created["HostedZone"]["Id"].rpartition("/")[2]
        self.parameter_folder = self.parameters(app={"Serve": "yes"})

    def configure(self):
        """Put URLs into the database secrets, and create the schedules."""
        for role in ("DATABASE_URL", "MIGRATION_DATABASE_URL", "SEQUENCER_DATABASE_URL"):
            url = f"postgresql://{role.lower()}:p%40ss@old.example.org:5432/vaultr?sslmode=verify-full"
            self.call(
                "secretsmanager", "put_secret_value", SecretId=f"{NAME}/{role}", SecretString=url
            )
        for job in ("cleanup", "daily", "backup", "drill"):
            self._schedule(job)

    def _schedule(self, job):
        """Create a schedule from the template, because moto's CloudFormation does not."""
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{NAME}-{job}:1"
        self.call(
            "scheduler", "create_schedule",
            Name=f"{NAME}-{job}", ScheduleExpression="cron(0 4 * * ? *)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{NAME}",
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{NAME}-scheduler",
                "EcsParameters": {"TaskDefinitionArn": arn, "LaunchType": "FARGATE"},
            },
        )  # fmt: skip


# The types that moto's CloudFormation creates. All others are only recorded, or created by moto's
# services (aws_server.py); cfn-lint, checkov and test_aws_templates.py check their properties.
CREATED = {
    "network": {
        "EC2::EIP", "EC2::FlowLog", "EC2::InternetGateway", "EC2::NatGateway", "EC2::Route",
        "EC2::RouteTable", "EC2::SecurityGroup", "EC2::SecurityGroupIngress", "EC2::Subnet",
        "EC2::SubnetRouteTableAssociation", "EC2::VPC", "EC2::VPCEndpoint",
        "EC2::VPCGatewayAttachment", "IAM::Role", "KMS::Key", "Logs::LogGroup", "SNS::Topic",
    },
    "data": {
        "ECR::Repository", "IAM::Role", "KMS::Alias", "KMS::Key", "Logs::LogGroup",
        "RDS::DBInstance", "RDS::DBParameterGroup", "RDS::DBSubnetGroup", "S3::Bucket",
    },
    "mail": {"IAM::User", "Route53::RecordSet"},
    "app": {
        "ECS::Cluster", "ECS::Service", "ECS::TaskDefinition", "EFS::AccessPoint",
        "EFS::FileSystem", "EFS::MountTarget", "ElasticLoadBalancingV2::Listener",
        "ElasticLoadBalancingV2::LoadBalancer", "ElasticLoadBalancingV2::TargetGroup",
        "IAM::Role", "Logs::LogGroup",
    },
    "edge": {"Route53::RecordSet"},
    "backup": {"IAM::Role"},
}  # fmt: skip
NOT_BY_MOTO = {
    "ApplicationAutoScaling::ScalableTarget", "ApplicationAutoScaling::ScalingPolicy",
    "Backup::BackupPlan", "Backup::BackupSelection", "Backup::BackupVault",
    "CertificateManager::Certificate", "CloudFront::Distribution", "CloudWatch::Alarm",
    "ElastiCache::ParameterGroup", "ElastiCache::ReplicationGroup", "ElastiCache::SubnetGroup",
    "ElastiCache::User", "ElastiCache::UserGroup", "IAM::Group", "Logs::MetricFilter",
    "S3::BucketPolicy", "SES::ConfigurationSet", "SES::EmailIdentity", "SNS::Subscription",
    "Scheduler::Schedule", "SecretsManager::Secret",
}  # fmt: skip
