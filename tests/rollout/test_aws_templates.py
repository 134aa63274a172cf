"""deploy/aws/*.yaml: valid for CloudFormation, hardened, and as the deployment guide requires."""

import json
import re

import pytest

from tests.rollout import aws, tools
from tests.rollout.aws import resources, template

ANYWHERE = "0.0.0.0/0"
# Actions that do not support resources:
# https://docs.aws.amazon.com/service-authorization/latest/reference/
WITHOUT_RESOURCES = {"ecr:GetAuthorizationToken"}


def test_cfn_lint_accepts_every_template():
    paths = [str(aws.FOLDER / f"{stem}.yaml") for stem in aws.STACKS]

    done = tools.run("cfn-lint", "--include-checks", "W", "--", *paths)

    assert done.returncode == 0, tools.output_of(done)


def test_cfn_lint_reports_service_without_subnets(tmp_path):
    text = (aws.FOLDER / "app.yaml").read_text()
    broken = re.sub(r"      NetworkConfiguration:\n        AwsvpcConfiguration: .*\n", "", text)
    (tmp_path / "app.yaml").write_text(broken)

    done = tools.run("cfn-lint", str(tmp_path / "app.yaml"))

    assert "E3052" in done.stdout


def test_checkov_passes_and_skipped_checks_are_explained():
    found = tools.checkov("cloudformation", "--directory", str(aws.FOLDER))

    assert found == []
    skipped = [
        one["comment"]
        for stem in aws.STACKS
        for entry in template(stem)["Resources"].values()
        for one in entry.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert len(skipped) == 2
    assert all(len(comment) > 20 for comment in skipped)


@pytest.mark.parametrize("stem", aws.STACKS)
def test_example_parameters_match_their_template(stem):
    entries = json.loads((aws.FOLDER / "parameters" / f"{stem}.json").read_text())
    known = template(stem)["Parameters"]
    before = aws.STACKS[: aws.STACKS.index(stem)]
    outputs = {name for one in before for name in template(one)["Outputs"]}

    provided = {one["ParameterKey"] for one in entries}
    assert provided <= {*known}
    needed = {name for name, one in known.items() if "Default" not in one}
    assert needed <= provided | outputs
    # Outputs of an earlier stack need not be entered again.
    assert not provided & outputs


# --- database (R, U) -----------------------------------------------------------------------


def test_database_has_the_settings_of_the_checklist():
    [database] = resources("data", "RDS::DBInstance").values()

    expected = {
        "Engine": "postgres", "StorageType": "gp3", "StorageEncrypted": True, "MultiAZ": True,
        "PubliclyAccessible": False, "ManageMasterUserPassword": True, "DeletionProtection": True,
        "CopyTagsToSnapshot": True, "DeleteAutomatedBackups": False, "MonitoringInterval": 60,
        "EnableCloudwatchLogsExports": ["postgresql", "upgrade"], "AllowMajorVersionUpgrade": False,
        "EnablePerformanceInsights": True, "AutoMinorVersionUpgrade": True,
    }  # fmt: skip
    assert {name: database[name] for name in expected} == expected
    assert "MasterUserPassword" not in database
    assert template("data")["Resources"]["Database"]["DeletionPolicy"] == "Snapshot"
    assert template("data")["Resources"]["Database"]["UpdateReplacePolicy"] == "Snapshot"
    defaults = {name: one.get("Default") for name, one in template("data")["Parameters"].items()}
    assert defaults["BackupRetentionDays"] == 30
    assert defaults["DatabaseStorageGiB"] == 100
    assert defaults["DatabaseVersion"].split(".")[0] == "17"


def test_database_parameters_force_tls_and_scram():
    [group] = resources("data", "RDS::DBParameterGroup").values()

    assert group["Parameters"]["rds.force_ssl"] == "1"
    assert group["Parameters"]["password_encryption"] == "scram-sha-256"
    assert group["Parameters"]["log_parameter_max_length"] == "0"


def test_no_template_parameter_can_make_database_public():
    texts = [json.dumps(resources("data", "RDS::DBInstance")), json.dumps(template("network"))]

    assert '"PubliclyAccessible": false' in texts[0]
    routes = resources("network", "EC2::Route").values()
    assert {one["RouteTableId"]["Ref"] for one in routes} == {
        "PublicRoutes", "AppRoutesA", "AppRoutesB",
    }  # fmt: skip
    assert '"MapPublicIpOnLaunch": true' not in texts[1]


# --- Redis (E) -----------------------------------------------------------------------------


def test_redis_has_the_settings_of_the_checklist():
    [cache] = resources("data", "ElastiCache::ReplicationGroup").values()
    [parameters] = resources("data", "ElastiCache::ParameterGroup").values()
    users = resources("data", "ElastiCache::User")

    expected = {
        "NumCacheClusters": 2, "AutomaticFailoverEnabled": True, "MultiAZEnabled": True,
        "AtRestEncryptionEnabled": True, "TransitEncryptionEnabled": True,
        "TransitEncryptionMode": "required",
    }  # fmt: skip
    assert {name: cache[name] for name in expected} == expected
    assert parameters["Properties"] == {"maxmemory-policy": "noeviction"}
    assert cache["UserGroupIds"] == [{"Ref": "CacheUsers"}]
    assert users["CacheDefaultUser"]["AccessString"].startswith("off")
    assert "-@dangerous" in users["CacheVaultrUser"]["AccessString"]


def test_database_and_redis_addresses_are_stack_outputs():
    outputs = template("data")["Outputs"]

    assert outputs["DatabaseAddress"]["Value"] == {"Fn::GetAtt": ["Database", "Endpoint.Address"]}
    assert outputs["CacheAddress"]["Value"] == {"Fn::GetAtt": ["Cache", "PrimaryEndPoint.Address"]}


# --- network (I4) --------------------------------------------------------------------------


def test_security_groups_allow_only_documented_connections():
    inside = {one for one in aws.reach() if one[0] and one[1] != "Endpoints"}

    assert inside == {
        ("LoadBalancer", "App", 3000), ("Sequencer", "State", 2049),
        *((group, "Database", 5432) for group in ("App", "Jobs", "Sequencer")),
        *((group, "Cache", 6379) for group in ("App", "Jobs", "Sequencer")),
    }  # fmt: skip
    assert {one for one in aws.reach() if not one[0]} == {("", "LoadBalancer", 443)}


def test_database_and_redis_have_no_outbound_access():
    groups = resources("network", "EC2::SecurityGroup")

    for name in ("DatabaseGroup", "CacheGroup", "StateGroup"):
        [rule] = groups[name]["SecurityGroupEgress"]
        assert rule["CidrIp"] == "127.0.0.1/32"
    assert all("SecurityGroupIngress" not in one for one in groups.values())


# --- email (M, I9) -------------------------------------------------------------------------


def test_sender_identity_uses_dkim_spf_dmarc_and_tls():
    [identity] = resources("mail", "SES::EmailIdentity").values()
    [settings] = resources("mail", "SES::ConfigurationSet").values()
    records = {one["Type"] for one in resources("mail", "Route53::RecordSet").values()}
    texts = json.dumps(resources("mail", "Route53::RecordSet"))

    assert identity["DkimAttributes"] == {"SigningEnabled": True}
    assert identity["MailFromAttributes"]["BehaviorOnMxFailure"] == "REJECT_MESSAGE"
    assert settings["DeliveryOptions"] == {"TlsPolicy": "REQUIRE"}
    assert records == {"CNAME", "MX", "TXT"}
    assert "v=spf1 include:amazonses.com -all" in texts
    assert "v=DMARC1; p=reject" in texts


def test_mail_user_may_send_only_from_configured_address():
    [group] = resources("mail", "IAM::Group").values()

    [statement] = group["Policies"][0]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "ses:SendRawEmail"
    assert statement["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "MailFrom"}}}
    assert not resources("mail", "IAM::AccessKey")


# --- traffic (T2, P4, I9) ------------------------------------------------------------------


def test_load_balancer_accepts_only_https():
    [listener] = resources("app", "ElasticLoadBalancingV2::Listener").values()
    [certificate] = resources("app", "CertificateManager::Certificate").values()

    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert "TLS13-1-2" in listener["SslPolicy"]
    assert certificate["ValidationMethod"] == "DNS"
    assert len(certificate["DomainValidationOptions"]) == 2


def test_dns_names_are_aliases_of_load_balancer_or_cloudfront():
    records = resources("edge", "Route53::RecordSet")

    targets = {
        name: (one["Name"], one["Type"], one["AliasTarget"]["DNSName"])
        for name, one in records.items()
    }
    balancer, host = {"Ref": "LoadBalancerDnsName"}, {"Ref": "Host"}
    cloudfront = {"Fn::GetAtt": ["Distribution", "DomainName"]}
    assert sorted(targets.values(), key=str) == sorted(
        [(host, "A", balancer), ({"Ref": "OriginHost"}, "A", balancer), (host, "A", cloudfront)],
        key=str,
    )


def test_cloudfront_caches_only_static_files():
    [one] = resources("edge", "CloudFront::Distribution").values()
    config = one["DistributionConfig"]
    disabled, optimized = (
        "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "658327ea-f89d-4fab-a63d-7e88639e58f6",
    )  # fmt: skip

    assert config["DefaultCacheBehavior"]["CachePolicyId"] == disabled
    [static] = config["CacheBehaviors"]
    assert (static["PathPattern"], static["CachePolicyId"]) == ("/static/*", optimized)
    assert config["Origins"][0]["DomainName"] == {"Ref": "OriginHost"}
    assert config["Aliases"] == [{"Ref": "Host"}]
    assert "DefaultRootObject" not in config
    for stem in ("app", "edge"):
        assert "OriginDiffers" in template(stem)["Rules"]


# --- backups and anchors (Y1) --------------------------------------------------------------


def test_backup_and_anchor_buckets_lock_objects():
    buckets = resources("data", "S3::Bucket")

    for name in ("BackupsBucket", "AnchorsBucket"):
        rule = buckets[name]["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
        assert buckets[name]["ObjectLockEnabled"] is True
        assert rule["Mode"] == "COMPLIANCE"
        assert template("data")["Resources"][name]["DeletionPolicy"] == "Retain"


def test_backup_vault_is_locked_and_copied_to_another():
    [plan] = resources("backup", "Backup::BackupPlan").values()
    [vault] = resources("backup", "Backup::BackupVault").values()

    [rule] = plan["BackupPlan"]["BackupPlanRule"]
    assert rule["ScheduleExpression"] == "cron(0 2 * * ? *)"
    assert rule["CopyActions"][0]["DestinationBackupVaultArn"] == {"Ref": "CopyVaultArn"}
    assert vault["LockConfiguration"]["MinRetentionDays"] == 30


# --- alarms (W1) ---------------------------------------------------------------------------


def alarms():
    return {
        name: one
        for stem in aws.STACKS
        for name, one in resources(stem, "CloudWatch::Alarm").items()
    }


def test_error_alarm_fires_at_five_percent_over_ten_minutes():
    one = alarms()["ErrorRatio"]
    expressions = [query["Expression"] for query in one["Metrics"] if "Expression" in query]

    assert expressions == ["IF(requests > 0, 100 * errors / requests, 0)"]
    assert (one["Threshold"], one["EvaluationPeriods"]) == (5, 2)
    periods = {query["MetricStat"]["Period"] for query in one["Metrics"] if "MetricStat" in query}
    assert periods == {300}


def test_missing_heartbeat_data_triggers_alarm():
    for name in (
        "Heartbeat",
        "WorkerGone",
        "SequencerGone",
        "DatabaseGone",
        "DrillMissing",
        "BackupMissing",
    ):
        assert alarms()[name]["TreatMissingData"] == "breaching", name


def test_every_alarm_has_action_and_existing_metric():
    emitted = {
        change["MetricName"]
        for one in resources("app", "Logs::MetricFilter").values()
        for change in one["MetricTransformations"]
    }
    used = set(re.findall(r'"MetricName": "(\w+)"', json.dumps([
        one for one in alarms().values() if "Vaultr/" in json.dumps(one)
    ])))  # fmt: skip

    assert all(one["AlarmActions"] == [{"Ref": "AlarmTopicArn"}] for one in alarms().values())
    assert used == emitted


# --- roles ---------------------------------------------------------------------------------


def statements():
    """Return each statement of a role or group, with its owner's name."""
    for stem in aws.STACKS:
        for kind in ("IAM::Role", "IAM::Group"):
            for name, one in resources(stem, kind).items():
                for policy in one.get("Policies", []):
                    for statement in policy["PolicyDocument"]["Statement"]:
                        yield name, statement


def test_no_policy_has_a_wildcard_action_or_resource():
    found = list(statements())

    assert len(found) > 20
    for name, statement in found:
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        assert not [one for one in actions if "*" in one], name
        if statement["Resource"] == "*":
            assert {*actions} <= WITHOUT_RESOURCES, name
