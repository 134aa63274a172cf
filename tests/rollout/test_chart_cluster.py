"""The chart in a cluster: node drains, networks, CA certificates, and the active colour."""

import os

import pytest
import yaml

from tests.rollout import api_server, tools
from tests.rollout.tools import of_kind, pod_spec, rendered

COLOUR = "vaultr.app/colour"


@pytest.mark.parametrize(
    ("existing", "expected"), [(None, "blue"), ("blue", "blue"), ("green", "green")]
)
def test_upgrade_of_service_owner_keeps_active_colour(tmp_path, existing, expected):
    """Only `deploy/blue-green switch` moves users."""
    done = _plan_release(tmp_path, existing, "vaultr-blue", "blue")

    assert done.returncode == 0, tools.output_of(done)
    objects = [one for one in yaml.safe_load_all(done.stdout) if one]
    [service] = of_kind(objects, "Service", "web")
    assert service["spec"]["selector"][COLOUR] == expected


def test_second_colour_cannot_create_the_service(tmp_path):
    claims = "cronJobs.backup.persistentVolumeClaim=a,cronJobs.drill.persistentVolumeClaim=a"
    done = _plan_release(
        tmp_path, "blue", "vaultr-green", "green", "--set", f"service.create=true,{claims}"
    )

    assert done.returncode != 0
    assert 'Service "vaultr"' in done.stderr


def _plan_release(folder, existing, release, values_name, *flags):
    """Make Helm plan a release in a cluster whose Service points to ``existing``."""
    values = tools.CHART / "ci" / f"{values_name}-values.yaml"
    with api_server.serving(folder, existing) as config:
        return tools.run(
            "helm", "template", release, str(tools.CHART), "--namespace", "vaultr",
            "--values", str(values), *flags, "--dry-run=server", "--disable-openapi-validation",
            env={**os.environ, "KUBECONFIG": str(config)},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "budget"),
    [
        ([], {"minAvailable": 1}),
        (["--set", "replicaCount=1"], {"maxUnavailable": 1}),
        (
            ["--set", "autoscaling.enabled=true", "--set", "autoscaling.minReplicas=1"],
            {"maxUnavailable": 1},
        ),
        (["--set", "podDisruptionBudget.minAvailable=2"], {"maxUnavailable": 1}),
        (["--set", "podDisruptionBudget.minAvailable=50%"], {"minAvailable": "50%"}),
    ],
)
def test_disruption_budget_never_blocks_a_node_drain(flags, budget):
    [found] = of_kind(rendered("default", *flags), "PodDisruptionBudget")

    stored = {name: found["spec"][name] for name in found["spec"] if "vailable" in name}
    assert stored == budget
    assert found["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize(
    ("setting", "protocol", "port"),
    [
        ("SMTP_PORT=465", "TCP", 465),
        ("STATSD_HOST=statsd.monitoring", "UDP", 8125),
        ("STATSD_HOST=statsd.monitoring:9125", "UDP", 9125),
        ("STATSD_HOST=[fd00::2]:9125", "UDP", 9125),
        ("STATSD_HOST=fd00::2", "UDP", 8125),
    ],
)
def test_network_policy_opens_ports_of_configured_services(setting, protocol, port):
    def allowed(*flags):
        [policy] = of_kind(rendered("default", *flags), "NetworkPolicy", "worker")
        rules = policy["spec"]["egress"]
        return {(one["protocol"], one["port"]) for rule in rules for one in rule["ports"]}

    assert (protocol, port) not in allowed()
    assert (protocol, port) in allowed("--set", f"settings.{setting}")


def test_every_pod_mounts_the_private_ca_certificates():
    """Without the file, ``sslmode=verify-full`` would not work with a managed database."""
    workloads = [
        one for one in rendered("all-on") if one["kind"] in ("Deployment", "Job", "CronJob")
    ]

    assert len(workloads) >= 4
    for workload in workloads:
        spec = pod_spec(workload)[1]
        mounts = {one["name"]: one for one in spec["containers"][0]["volumeMounts"]}
        volume = next(one for one in spec["volumes"] if one["name"] == "authorities")
        assert mounts["authorities"]["mountPath"] == "/etc/vaultr/authorities"
        assert mounts["authorities"]["readOnly"] is True
        assert volume["configMap"]["name"] == "authorities"
        assert volume["configMap"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    assert "authorities" not in str(of_kind(rendered("default"), "Deployment"))


def test_metrics_service_selects_only_pods_with_metrics_port():
    """A short-lived pod is ready too, so a headless Service would include its address."""
    objects = rendered("all-on")
    [service] = of_kind(objects, "Service", "metrics")

    for workload in [one for one in objects if one["kind"] in ("Deployment", "Job", "CronJob")]:
        metadata, spec = pod_spec(workload)
        ports = {port["name"] for port in spec["containers"][0].get("ports", [])}
        selected = service["spec"]["selector"].items() <= metadata["labels"].items()
        assert selected == ("metrics" in ports), workload["metadata"]["name"]


@pytest.mark.parametrize("drain", [1, 5, 24])
def test_grace_period_covers_configured_drain_seconds(drain):
    objects = rendered("default", "--set", f"settings.DRAIN_SECONDS={drain}")
    spec = pod_spec(of_kind(objects, "Deployment", "web")[0])[1]
    pre_stop = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    timeout = 24  # graceful_timeout of config/gunicorn.py

    assert spec["terminationGracePeriodSeconds"] > pre_stop + drain + timeout


def test_ingress_does_not_redirect_plain_http():
    """ingress-nginx redirects by default, which would hide that a secret was sent in plaintext."""
    [ingress] = of_kind(rendered("all-on"), "Ingress")

    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/ssl-redirect"] == "false"


def test_default_ingress_names_no_controller():
    [ingress] = of_kind(rendered("default"), "Ingress")

    assert "ingressClassName" not in ingress["spec"]
    assert {*ingress["metadata"]["annotations"]} == {"helm.sh/resource-policy"}


def test_ingress_hosts_equal_hosts_that_the_server_accepts():
    objects = rendered("all-on")
    [ingress], [route] = of_kind(objects, "Ingress"), of_kind(objects, "HTTPRoute")
    settings = of_kind(objects, "ConfigMap", "web")[0]["data"]

    hosts = [rule["host"] for rule in ingress["spec"]["rules"]] + route["spec"]["hostnames"]
    accepted = [
        settings["BASE_URL"].removeprefix("https://"),
        *settings["ALLOWED_HOSTS"].split(","),
    ]
    assert sorted(hosts) == sorted(accepted)
    assert [one["hosts"] for one in ingress["spec"]["tls"]] == [
        [rule["host"]] for rule in ingress["spec"]["rules"]
    ]
    assert route["spec"]["rules"][0]["backendRefs"] == [{"name": "vaultr", "port": 80}]


def test_egress_is_limited_to_configured_targets():
    policies = of_kind(rendered("all-on"), "NetworkPolicy")

    for policy in policies:
        for rule in policy["spec"]["egress"]:
            assert rule.get("to"), policy["metadata"]["name"]
            assert {} not in rule["to"]
    [web] = [one for one in policies if one["metadata"]["name"] == "vaultr-blue-web"]
    named = web["spec"]["egress"][-1]["to"]
    assert named == [
        {"ipBlock": {"cidr": "10.0.0.0/8"}},
        {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "postgresql"}}},
    ]
    assert {"ipBlock": {"cidr": "192.0.2.0/24"}} in web["spec"]["ingress"][0]["from"]
