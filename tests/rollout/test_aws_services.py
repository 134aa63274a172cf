"""Types that moto's CloudFormation skips, created by its services from the templates."""

import json

import pytest

from tests.rollout import aws
from tests.rollout.aws import resources, template

ARN = f"arn:aws:kms:{aws.REGION}:{aws.ACCOUNT}:key/11111111-1111-1111-1111-111111111111"
VALUES = {
    "Name": aws.NAME, "Host": "vault.example.org", "OriginHost": "origin.example.org",
    "MailDomain": "example.org", "MailFrom": "vaultr@example.org", "HostedZoneId": "Z1",
    "AWS::Region": aws.REGION, "AWS::AccountId": aws.ACCOUNT, "AWS::Partition": "aws",
}  # fmt: skip


def plain(value, stem):
    """Return a template's value as CloudFormation would pass it, in a fictitious account."""
    if isinstance(value, list):
        return [plain(one, stem) for one in value]
    if not isinstance(value, dict):
        return value
    [(name, inner), *more] = value.items() if value else [("", None)]
    if more or not name.startswith(("Ref", "Fn::")):
        return {key: plain(one, stem) for key, one in value.items()}
    if name == "Ref":
        default = template(stem).get("Parameters", {}).get(inner, {}).get("Default")
        return VALUES.get(inner, ARN if default is None else default)
    if name == "Fn::Sub":
        text = inner if isinstance(inner, str) else inner[0]
        for key, one in VALUES.items():
            text = text.replace(f"${{{key}}}", one)
        return text
    return ARN


def one(stem, kind):
    [found] = resources(stem, kind).values()
    return plain(found, stem)


ALARMS = [(stem, name) for stem in aws.STACKS for name in resources(stem, "CloudWatch::Alarm")]


@pytest.mark.parametrize(("stem", "name"), ALARMS)
@pytest.mark.matrix(4)
def test_cloudwatch_accepts_alarm_of_template(cloud, stem, name):
    alarm = plain(resources(stem, "CloudWatch::Alarm")[name], stem)
    alarm["AlarmName"] = f"test-{name}"
    if "Metrics" in alarm:
        alarm["Metrics"] = json.loads(json.dumps(alarm["Metrics"]))

    made = cloud.call("cloudwatch", "put_metric_alarm", **alarm)
    [found] = cloud.call("cloudwatch", "describe_alarms", AlarmNames=[f"test-{name}"])[
        "MetricAlarms"
    ]
    cloud.call("cloudwatch", "delete_alarms", AlarmNames=[f"test-{name}"])

    assert "error" not in made
    assert found["Threshold"] == alarm["Threshold"]
    assert found["EvaluationPeriods"] == alarm["EvaluationPeriods"]
    assert found["TreatMissingData"] == alarm["TreatMissingData"]


def test_elasticache_accepts_failover_and_encryption(cloud):
    cache = one("data", "ElastiCache::ReplicationGroup")
    request = {
        name: value for name, value in cache.items()
        if name in ("ReplicationGroupDescription", "Engine", "NumCacheClusters",
                    "AutomaticFailoverEnabled", "MultiAZEnabled", "AtRestEncryptionEnabled",
                    "TransitEncryptionEnabled", "CacheNodeType")
    }  # fmt: skip

    made = cloud.call("elasticache", "create_replication_group", ReplicationGroupId="t", **request)

    assert "error" not in made, made
    found = made["ReplicationGroup"]
    assert found["AutomaticFailover"] == "enabled"
    assert found["MultiAZ"] == "enabled"
    assert found["AtRestEncryptionEnabled"] is found["TransitEncryptionEnabled"] is True


def test_ses_accepts_sender_identity(cloud):
    identity = one("mail", "SES::EmailIdentity")["EmailIdentity"]

    made = cloud.call("sesv2", "create_email_identity", EmailIdentity=identity)

    assert "error" not in made, made
    listed = cloud.call("sesv2", "list_email_identities")["EmailIdentities"]
    assert identity in {one["IdentityName"] for one in listed}


def test_iam_accepts_policy_and_key_of_mail_user(cloud):
    group = one("mail", "IAM::Group")
    policy = group["Policies"][0]
    cloud.call("iam", "create_user", UserName="sender")

    made = cloud.call(
        "iam", "put_user_policy", UserName="sender", PolicyName=policy["PolicyName"],
        PolicyDocument=json.dumps(policy["PolicyDocument"]),
    )  # fmt: skip
    key = cloud.call("iam", "create_access_key", UserName="sender")["AccessKey"]

    assert "error" not in made, made
    assert len(key["SecretAccessKey"]) == 40


def test_certificate_for_both_names_awaits_dns_validation(cloud):
    certificate = one("app", "CertificateManager::Certificate")

    made = cloud.call(
        "acm", "request_certificate", DomainName=certificate["DomainName"],
        SubjectAlternativeNames=certificate["SubjectAlternativeNames"],
        ValidationMethod=certificate["ValidationMethod"],
    )  # fmt: skip

    assert "error" not in made, made
    found = cloud.call("acm", "describe_certificate", CertificateArn=made["CertificateArn"])
    names = {one["DomainName"] for one in found["Certificate"]["DomainValidationOptions"]}
    assert names == {"vault.example.org", "origin.example.org"}
    assert found["Certificate"]["Status"] == "PENDING_VALIDATION"


def test_secrets_manager_stores_and_returns_secret(cloud):
    secret = plain(resources("data", "SecretsManager::Secret")["JwtSecretSecret"], "data")

    made = cloud.call(
        "secretsmanager", "create_secret", Name=f"test/{secret['Name']}", SecretString="value"
    )

    found = cloud.call("secretsmanager", "get_secret_value", SecretId=made["ARN"])
    assert found["SecretString"] == "value"


def test_aws_backup_accepts_plan_with_copy_action(cloud):
    plan = one("backup", "Backup::BackupPlan")["BackupPlan"]
    rules = [
        {
            "RuleName": rule["RuleName"], "TargetBackupVaultName": "test",
            "ScheduleExpression": rule["ScheduleExpression"], "Lifecycle": rule["Lifecycle"],
            "CopyActions": rule["CopyActions"],
        }
        for rule in plan["BackupPlanRule"]
    ]  # fmt: skip
    cloud.call("backup", "create_backup_vault", BackupVaultName="test")

    made = cloud.call(
        "backup", "create_backup_plan",
        BackupPlan={"BackupPlanName": plan["BackupPlanName"], "Rules": rules},
    )  # fmt: skip

    assert "error" not in made, made
    found = cloud.call("backup", "get_backup_plan", BackupPlanId=made["BackupPlanId"])
    assert found["BackupPlan"]["Rules"][0]["ScheduleExpression"] == "cron(0 2 * * ? *)"


def listed(values):
    """Return a list in the form of CloudFront's API."""
    return {"Quantity": len(values), "Items": values}


def behavior(found):
    """Return a cache behaviour in the form of the API."""
    methods = listed(found["AllowedMethods"]) | {"CachedMethods": listed(["GET", "HEAD"])}
    return found | {"AllowedMethods": methods}


def test_cloudfront_accepts_distribution_without_default_caching(cloud):
    config = one("edge", "CloudFront::Distribution")["DistributionConfig"]
    [origin] = config["Origins"]
    custom = origin["CustomOriginConfig"]
    secure = {name: custom[name] for name in ("OriginProtocolPolicy", "OriginReadTimeout")}
    secure |= {"HTTPPort": 80, "HTTPSPort": 443}
    secure["OriginSslProtocols"] = listed(custom["OriginSSLProtocols"])
    copied = ("Enabled", "Comment", "HttpVersion", "PriceClass")
    request = {name: config[name] for name in copied} | {
        "CallerReference": "test",
        "Aliases": listed(config["Aliases"]),
        "Origins": listed([origin | {"CustomOriginConfig": secure}]),
        "DefaultCacheBehavior": behavior(config["DefaultCacheBehavior"]),
        "CacheBehaviors": listed([behavior(found) for found in config["CacheBehaviors"]]),
    }

    made = cloud.call("cloudfront", "create_distribution", DistributionConfig=request)

    assert "error" not in made, made
    stored = made["Distribution"]["DistributionConfig"]
    assert stored["DefaultCacheBehavior"]["CachePolicyId"].startswith("4135ea2d")
    assert stored["Origins"]["Items"][0]["DomainName"] == "origin.example.org"
    assert stored["CallerReference"] == "test"
