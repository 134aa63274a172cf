"""moto, with resource types in the templates that its CloudFormation does not create.

Run with the Python of `.tools/requirements`: `python aws_server.py PORT`. A type in ``ATTRIBUTES``
is only recorded in the stack, so that other resources can refer to it; this proves nothing about
its properties. Secrets, certificates and alarms are created by moto's own services, because the
scripts and other resources use them.
"""

import datetime
import sys
import threading

from moto import server
from moto.acm.models import acm_backends
from moto.cloudformation.models import ChangeSet, CloudFormationBackend
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.core.exceptions import JsonRESTError
from moto.ecs.models import Container, EC2ContainerServiceBackend
from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup
from moto.rds.models import DBInstance, DBParameterGroup, DBSnapshot, MasterUserSecret
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import SimpleSystemManagerBackend

# Types that are only recorded, with the attributes that other resources read.
ATTRIBUTES = {
    "AWS::ApplicationAutoScaling::ScalableTarget": {},
    "AWS::ApplicationAutoScaling::ScalingPolicy": {},
    "AWS::Backup::BackupPlan": {},
    "AWS::Backup::BackupSelection": {},
    "AWS::Backup::BackupVault": {
        "BackupVaultArn": "arn:aws:backup:{region}:{account}:vault:{name}"
    },
    "AWS::CloudFront::Distribution": {"DomainName": "d111111abcdef8.cloudfront.net"},
    "AWS::ElastiCache::ParameterGroup": {},
    "AWS::ElastiCache::ReplicationGroup": {"PrimaryEndPoint.Address": "master.{name}.cache.test"},
    "AWS::ElastiCache::SubnetGroup": {},
    "AWS::ElastiCache::User": {},
    "AWS::ElastiCache::UserGroup": {},
    "AWS::IAM::Group": {},
    "AWS::Logs::MetricFilter": {},
    "AWS::S3::BucketPolicy": {},
    "AWS::SES::ConfigurationSet": {},
    "AWS::SES::EmailIdentity": {
        f"DkimDNSToken{part}{number}": f"{part.lower()}{number}.example.org"
        for part in ("Name", "Value")
        for number in (1, 2, 3)
    },
    "AWS::SNS::Subscription": {},
    "AWS::Scheduler::Schedule": {},
}


# moto derives a service from the module of a model.
MODULE = "moto.cloudformation.types"


class _Resource(CloudFormationModel):
    """A resource of a stack that is only recorded."""

    __module__ = MODULE

    def __init__(self, name, account, region):
        self.name, self.account, self.region = name, account, region

    @property
    def physical_resource_id(self):
        return self.name

    @classmethod
    def create_from_cloudformation_json(cls, name, _template, account, region, **_more):
        return cls(name, account, region)

    @classmethod
    def update_from_cloudformation_json(cls, original, _name, _template, _account, _region):
        return original

    @classmethod
    def delete_from_cloudformation_json(cls, *_ignored):
        return None

    @classmethod
    def has_cfn_attr(cls, attr):
        return attr in ATTRIBUTES.get(cls.cloudformation_type(), {})

    def get_cfn_attribute(self, attribute):
        text = ATTRIBUTES[self.cloudformation_type()][attribute]
        return text.format(name=self.name, account=self.account, region=self.region)


def _recorded_type(kind):
    members = {
        "__module__": MODULE,
        "cloudformation_type": staticmethod(lambda: kind),
        "cloudformation_name_type": staticmethod(lambda: ""),
    }
    return type(kind.rpartition(":")[2], (_Resource, CloudFormationModel), members)


class Secret(_Resource, CloudFormationModel):
    """A secret in moto's Secrets Manager, without a value until one is put."""

    __module__ = MODULE

    @staticmethod
    def cloudformation_type():
        return "AWS::SecretsManager::Secret"

    @staticmethod
    def cloudformation_name_type():
        return "Name"

    @classmethod
    def create_from_cloudformation_json(cls, name, template, account, region, **_more):
        text = "generated" * 5 if "GenerateSecretString" in template["Properties"] else None
        backend = secretsmanager_backends[account][region]
        backend.create_secret(name, text, None, None, None, None, None, [], False)
        return cls(backend.describe_secret(name).arn, account, region)


class Alarm(_Resource, CloudFormationModel):
    """An alarm in moto's CloudWatch, so that the scripts can read its state."""

    __module__ = MODULE

    @staticmethod
    def cloudformation_type():
        return "AWS::CloudWatch::Alarm"

    @staticmethod
    def cloudformation_name_type():
        return "AlarmName"

    @classmethod
    def create_from_cloudformation_json(cls, name, template, account, region, **_more):
        properties = template["Properties"]
        cloudwatch_backends[account][region].put_metric_alarm(
            name, properties.get("Namespace"), properties.get("MetricName"),
            properties["ComparisonOperator"], properties["EvaluationPeriods"],
            properties.get("Period"), properties["Threshold"], properties.get("Statistic"),
            properties["AlarmDescription"], [], properties["AlarmActions"],
        )  # fmt: skip
        return cls(name, account, region)


class Certificate(_Resource, CloudFormationModel):
    """A certificate in moto's ACM, because its load balancer looks it up."""

    __module__ = MODULE

    @staticmethod
    def cloudformation_type():
        return "AWS::CertificateManager::Certificate"

    @staticmethod
    def cloudformation_name_type():
        return ""

    @classmethod
    def create_from_cloudformation_json(cls, name, template, account, region, **_more):
        properties = template["Properties"]
        names = properties["SubjectAlternativeNames"]
        backend = acm_backends[account][region]
        arn = backend.request_certificate(properties["DomainName"], name, names, [])
        return cls(arn, account, region)


def _add_attributes(model, attributes):
    """Make a moto model return attributes that it does not know."""
    known = getattr(model, "get_cfn_attribute", None)
    has_attribute = model.has_cfn_attr

    def answer(self, attribute):
        return attributes[attribute](self) if attribute in attributes else known(self, attribute)

    model.get_cfn_attribute = answer
    model.has_cfn_attr = classmethod(
        lambda _, attribute: attribute in attributes or has_attribute(attribute)
    )


def _master_secret(instance):
    """Create the secret that RDS manages, because moto does not do so in a stack."""
    if not hasattr(instance, "master_user_secret"):
        instance.master_user_secret = MasterUserSecret(instance, None)
    return instance.master_user_secret.secret.arn


TYPES = [_recorded_type(kind) for kind in ATTRIBUTES]
_add_attributes(DBInstance, {"MasterUserSecret.SecretArn": _master_secret})
_add_attributes(
    FakeLoadBalancer,
    {
        "LoadBalancerFullName": lambda one: one.arn.partition("loadbalancer/")[2],
        "CanonicalHostedZoneID": lambda _: "Z215JYRZR1TBD5",
    },
)
_add_attributes(FakeTargetGroup, {"TargetGroupFullName": lambda one: one.arn.rpartition(":")[2]})
_apply = ChangeSet.apply


def _applied(self):
    """Create a new stack like `create_stack`: with its conditions and outputs."""
    stack = self.stack
    if self.change_set_type == "UPDATE":
        _apply(self)
    stack.template, stack.parameters = self.template, self.parameters
    stack._parse_template()
    if self.change_set_type == "CREATE":
        stack.resource_map = stack._create_resource_map()
        stack.create_resources()
    stack.output_map = stack._create_output_map()


_create_change_set = CloudFormationBackend.create_change_set


def _planned(self, **more):
    """Plan for the only stack of a name; moto would create another one in review."""
    for identity, stack in list(self.stacks.items()):
        if stack.name == more["stack_name"] and stack.status == "REVIEW_IN_PROGRESS":
            del self.stacks[identity]
    return _create_change_set(self, **more)


ChangeSet.apply = _applied
CloudFormationBackend.create_change_set = _planned


# --- Behaviour of a real account that moto lacks -------------------------------------------

_update_service = EC2ContainerServiceBackend.update_service
_container = Container.__init__
_snapshot = DBSnapshot.__init__
_put_parameter = SimpleSystemManagerBackend.put_parameter
_one_at_a_time = threading.Lock()


def _updated(self, properties):
    """Update a service; the tag of the image determines how it fails.

    `bad1` is rolled back by the circuit breaker, `alarm1` sets an alarm off, and ECS rejects
    `unfit1` for the sequencer.
    """
    name, cluster = properties["service"], properties.get("cluster")
    before = self._get_service(cluster, name).task_definition
    wanted = properties.get("task_definition") or before
    images = self.describe_task_definition(wanted).container_definitions
    tag = images[-1]["image"].rpartition(":")[2]
    if tag.startswith("unfit") and name.endswith("-sequencer"):
        raise JsonRESTError("InvalidParameterException", "No volume of this name.")
    service = _update_service(self, properties)
    if tag.startswith("alarm"):
        alarms = cloudwatch_backends[self.account_id][self.region_name]
        alarms.set_alarm_state(f"{cluster}-error-ratio", "test", "{}", "ALARM")
    state, reason = "COMPLETED", "completed"
    if tag.startswith("bad"):
        service.task_definition, state = before, "FAILED"
        reason = "ECS deployment circuit breaker: tasks failed to start."
    service.deployments[0] |= {"rolloutState": state, "rolloutStateReason": reason}
    return service


def _started(self, task_definition):
    """Make the main container exit with 1 if its image has a tag such as `broken1`."""
    _container(self, task_definition)
    main = task_definition.container_definitions[-1]
    self.name, self.image = main["name"], main["image"]
    self.exitCode = int(main["image"].rpartition(":")[2].startswith("broken"))


def _with_test_tags(self, *arguments, **more):
    """Allow a test to set when a snapshot was created, and its state."""
    _snapshot(self, *arguments, **more)
    tags = {one["Key"]: one["Value"] for one in self.tags}
    if self.snapshot_type == "automated":
        tags["test:created"] = "2026-01-02T00:00:00+00:00"
    if "test:created" in tags:
        self.created = datetime.datetime.fromisoformat(tags["test:created"])
        self.original_snapshot_create_time = self.created
    self.status = tags.get("test:status", self.status)


def _put(self, *arguments, **more):
    """Create a parameter for one of several parallel callers; moto checks first, then writes."""
    with _one_at_a_time:
        return _put_parameter(self, *arguments, **more)


SimpleSystemManagerBackend.put_parameter = _put
EC2ContainerServiceBackend.update_service = _updated
# A Fargate container needs no memory of its own, but moto adds up the values.
EC2ContainerServiceBackend._calculate_task_resource_requirements = staticmethod(
    lambda _: {"CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": []}
)
Container.__init__ = _started
DBSnapshot.__init__ = _with_test_tags
# moto generates a name, although the template has one.
DBParameterGroup.cloudformation_name_type = staticmethod(lambda: "DBParameterGroupName")

if __name__ == "__main__":
    server.main(["--port", sys.argv[1]])
