"""The chart: its output is valid and hardened, and uses existing names of the server."""

import json

import pytest
import yaml

from tests.rollout import settings_of_chart, tools
from tests.rollout.tools import of_kind, pod_spec, rendered

NAMES = [path.name.removesuffix("-values.yaml") for path in tools.VALUES_FILES]
VERSIONS = ("1.29", "1.37")
COLOUR = "vaultr.app/colour"
# Image should use digest: a version is enough, and the schema rejects `latest`.
ACCEPTED = {"CKV_K8S_43"}
# Containers should run with a high UID: the SCC assigns one, so the chart must not.
OF_OPENSHIFT = {"CKV_K8S_40"}


@pytest.mark.parametrize("name", NAMES)
def test_helm_lint_passes_for_each_values_file(name):
    values = tools.CHART / "ci" / f"{name}-values.yaml"

    done = tools.run("helm", "lint", "--strict", str(tools.CHART), "--values", str(values))

    assert done.returncode == 0, tools.output_of(done)


@pytest.mark.parametrize("name", NAMES)
def test_rendered_objects_match_kubernetes_schemas(name, tmp_path):
    tools.check_schemas(rendered(name), tmp_path, VERSIONS)


@pytest.mark.parametrize("version", ["1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36"])
def test_full_chart_matches_schemas_of_each_kubernetes_version(version, tmp_path):
    tools.check_schemas(rendered("all-on"), tmp_path, [version])


def test_schema_check_rejects_custom_resource_with_invalid_field():
    wrong = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    wrong |= {"metadata": {"name": "x"}, "spec": {"hostnames": [3]}}

    done = tools.run("node", ".tools/npm/validate.js", input=json.dumps([wrong]))

    assert done.returncode != 0
    assert "hostnames/0 must be string" in done.stdout


def test_schema_check_rejects_unknown_kubernetes_field(tmp_path):
    objects = [json.loads(json.dumps(one)) for one in rendered("default")]
    of_kind(objects, "Deployment")[0]["spec"]["replica"] = 2
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects))

    done = tools.run("kubernetes-validate", "--strict", str(path))

    assert done.returncode != 0


@pytest.mark.parametrize("name", NAMES)
def test_checkov_passes_for_rendered_objects(name, tmp_path):
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(rendered(name)))

    found = tools.checkov("kubernetes", "--directory", str(tmp_path))
    accepted = ACCEPTED | OF_OPENSHIFT if name == "openshift" else ACCEPTED
    if name == "all-on":  # it names a digest; others may use a version
        accepted = accepted - {"CKV_K8S_43"}
    assert [one for one in found if one.partition(" ")[0] not in accepted] == []


@pytest.mark.parametrize(
    ("flags", "about"),
    [
        (["--set", "image.tag=latest"], "tag"),
        (["--set", "image.tag="], "image"),
        (["--set", "image.digest=sha256:short"], "digest"),
        (["--set", "image.repository="], "repository"),
        (["--set", "colour=red"], "colour"),
        (["--set", "replicaCont=3"], "replicaCont"),
        (["--set", "settings.LOGLEVEL=INFO"], "LOGLEVEL"),
        (["--set", "settings.LOG_LEVEL=LOUD"], "LOG_LEVEL"),
        (["--set", "settings.JWT_SECRET=in-clear"], "JWT_SECRET"),
        (["--set", "settings.DATABASE_URL=postgresql://u:p@h/d"], "DATABASE_URL"),
        (["--set", "settings.BASE_URL=http://vault.example.org"], "BASE_URL"),
        (["--set", "settings.SMTP_HOST="], "SMTP_HOST"),
        (["--set", "settings.SMTP_SECURE=none"], "SMTP_SECURE"),
        (["--set", "settings.VAULTR_ENV=development"], "VAULTR_ENV"),
        (["--set", "ingress.host="], "host"),
        (["--set", "ingress.enabled=false"], "BASE_URL"),
        (["--set", "ingress.tlsSecretName="], "tlsSecretName"),
        (["--set", "existingSecret="], "existingSecret"),
        (["--set", "externalSecrets.enabled=true"], "externalSecrets"),
        (["--set", "cronJobs.backup.persistentVolumeClaim="], "backup"),
        (["--set", "cronJobs.drill.persistentVolumeClaim="], "drill"),
        (["--set", "sequencer.persistentVolumeClaim="], "sequencer"),
        (["--set", "settings.AUDIT_STATE_FILE=/tmp/x"], "AUDIT_STATE_FILE"),
        (["--set", "service.type=LoadBalancer"], "type"),
        (["--set", "terminationGracePeriodSeconds=10"], "terminationGracePeriodSeconds"),
        (["--set", "networkPolicy.egressPorts=null"], ""),
        (["--set", "networkPolicy.egressCidrs=null"], "networkPolicy"),
        (["--set", "httpRoute.enabled=true"], "httpRoute"),
        (["--set-json", 'extraEnv=[{"name":"JWT_SECRET","value":"in-clear"}]'], "extraEnv"),
        (["--set-json", 'web.extraEnv=[{"nam":"A"}]'], "web"),
        (["--set-json", 'sidecars=[{"name":"without-image"}]'], "sidecars"),
        (["--set-json", 'networkPolicy.ingressFrom=[{"podSelektor":{}}]'], "ingressFrom"),
    ],
)  # fmt: skip
def test_error_names_invalid_chart_value(flags, about):
    values = tools.CHART / "ci" / "default-values.yaml"

    done = tools.template("--values", str(values), *flags)

    if about:
        assert done.returncode != 0
        assert about in done.stderr
        assert "schema" in done.stderr


def test_chart_settings_equal_the_server_settings(pytestconfig):
    path = tools.CHART / "values.schema.json"
    schema = json.loads(path.read_text())
    if pytestconfig.getoption("--write-docs"):
        schema["properties"]["settings"] = settings_of_chart.settings_schema()
        path.write_text(json.dumps(schema, indent=2) + "\n")

    assert schema["properties"]["settings"] == settings_of_chart.settings_schema()


def test_chart_schema_rejects_unknown_values():
    schema = json.loads((tools.CHART / "values.schema.json").read_text())

    assert _open_objects(schema, "") == []


def _open_objects(schema, path):
    """List the objects of the schema that name their properties but accept others."""
    found = []
    if schema.get("type") == "object" and "properties" in schema:
        found += [] if schema.get("additionalProperties") is False else [path]
    for name, part in schema.get("properties", {}).items():
        found += _open_objects(part, f"{path}/{name}")
    return found


def test_each_component_mounts_exactly_the_secrets_it_needs():
    needed = {*settings_of_chart.secret_names()} - {"CHECKPOINT_KEY"}
    objects = rendered("all-on")

    web, worker, sequencer = (
        of_kind(objects, "Deployment", one)[0] for one in ("web", "worker", "sequencer")
    )

    assert _mounted(web) == _mounted(worker) == needed
    assert _mounted(sequencer) == needed | {"CHECKPOINT_KEY"}
    assert _mounted(of_kind(objects, "Job", "migrate")[0]) == needed
    for workload in (web, worker, sequencer):
        container = pod_spec(workload)[1]["containers"][0]
        files = {one["name"]: one["value"] for one in container["env"] if "_FILE" in one["name"]}
        files = {name: value for name, value in files.items() if "/run/secrets" in value}
        assert {name.removesuffix("_FILE") for name in files} == _mounted(workload)
        assert all(value.startswith("/run/secrets/vaultr/") for value in files.values())


def _mounted(workload):
    volumes = pod_spec(workload)[1]["volumes"]
    items = next(one for one in volumes if one["name"] == "secrets")["secret"]["items"]
    return {one["path"] for one in items}


def test_migration_job_connects_as_table_owner():
    job = of_kind(rendered("default"), "Job", "migrate")[0]
    secret = next(one for one in pod_spec(job)[1]["volumes"] if one["name"] == "secrets")

    assert {"key": "MIGRATION_DATABASE_URL", "path": "DATABASE_URL"} in secret["secret"]["items"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    # Helm creates these after the hook, so the hook cannot depend on them.
    assert "serviceAccountName" not in pod_spec(job)[1]
    assert "envFrom" not in pod_spec(job)[1]["containers"][0]


def test_sequencer_has_own_database_role_and_persistent_state():
    [sequencer] = of_kind(rendered("default"), "Deployment", "sequencer")
    _, spec = pod_spec(sequencer)
    volumes = {one["name"]: one for one in spec["volumes"]}
    environ = {one["name"]: one["value"] for one in spec["containers"][0]["env"]}
    mounts = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}

    items = volumes["secrets"]["secret"]["items"]
    assert {"key": "SEQUENCER_DATABASE_URL", "path": "DATABASE_URL"} in items
    assert volumes["state"]["persistentVolumeClaim"] == {"claimName": "vaultr-audit"}
    assert environ["AUDIT_STATE_FILE"] == f"{mounts['state']}/audit-state"
    assert sequencer["spec"]["strategy"] == {"type": "Recreate"}
    assert sequencer["spec"]["replicas"] == 1
    assert spec["containers"][0]["command"] == ["flask", "worker", "--only", "audit"]


@pytest.mark.parametrize(("name", "found"), [("blue", 1), ("green", 0), ("shared", 1)])
def test_two_colours_share_one_sequencer(name, found):
    assert len(of_kind(rendered(name), "Deployment", "sequencer")) == found


def test_sequencer_with_bucket_needs_no_persistent_volume():
    [sequencer] = of_kind(rendered("no-ingress"), "Deployment", "sequencer")

    [state] = [one for one in pod_spec(sequencer)[1]["volumes"] if one["name"] == "state"]
    assert "emptyDir" in state


@pytest.mark.parametrize("name", NAMES)
def test_service_selects_existing_pods(name):
    objects = rendered(name)
    labels = pod_spec(of_kind(rendered("blue"), "Deployment", "web")[0])[0]["labels"]

    for service in of_kind(objects, "Service", "web"):
        selector = dict(service["spec"]["selector"])
        assert service["spec"]["type"] == "ClusterIP"
        assert selector.pop(COLOUR) in {labels[COLOUR], "blue"}
        assert selector.items() <= labels.items()


def test_two_colours_coexist_and_one_owns_the_service():
    blue, green = rendered("blue"), rendered("green")
    names = [{(one["kind"], one["metadata"]["name"]) for one in side} for side in (blue, green)]

    assert names[0] & names[1] == set()
    assert {"vaultr-blue", "vaultr-green"} == {
        of_kind(side, "Deployment", "web")[0]["metadata"]["name"] for side in (blue, green)
    }
    assert [one["metadata"]["name"] for one in of_kind(blue, "Service", "web")] == ["vaultr"]
    assert of_kind(green, "Service", "web") == of_kind(green, "Ingress") == []


def test_probes_use_health_and_ready_endpoints():
    container = pod_spec(of_kind(rendered("default"), "Deployment", "web")[0])[1]["containers"][0]

    requested = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert requested == {
        "startupProbe": "/api/health",
        "livenessProbe": "/api/health",
        "readinessProbe": "/api/ready",
    }
    assert (
        container["livenessProbe"]["periodSeconds"],
        container["readinessProbe"]["periodSeconds"],
    ) == (10, 5)
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": 3000,
        "metrics": 9464,
    }


def test_default_replicas_and_resources_match_the_guide():
    web = of_kind(rendered("default"), "Deployment", "web")[0]
    container = pod_spec(web)[1]["containers"][0]

    assert web["spec"]["replicas"] == 2
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"cpu": "500m", "memory": "1Gi"},
    }
    service = of_kind(rendered("default"), "Service", "web")[0]
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]


def test_changed_settings_restart_pods():
    def checksum(*flags):
        web = of_kind(rendered("default", *flags), "Deployment", "web")[0]
        return pod_spec(web)[0]["annotations"]["checksum/settings"]

    assert checksum() == checksum()
    assert checksum() != checksum("--set", "settings.LOG_LEVEL=DEBUG")


def test_grace_period_is_longer_than_drain_and_timeouts():
    spec = pod_spec(of_kind(rendered("default"), "Deployment", "web")[0])[1]
    pre_stop = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain, timeout = 5, 24  # DRAIN_SECONDS, and graceful_timeout of config/gunicorn.py

    assert spec["terminationGracePeriodSeconds"] > pre_stop + drain + timeout


@pytest.mark.parametrize(
    ("switch", "kind"),
    [
        ("worker", "Deployment"),
        ("sequencer", "Deployment"),
        ("gateway", "Deployment"),
        ("migration", "Job"),
        ("ingress", "Ingress"),
        ("podDisruptionBudget", "PodDisruptionBudget"),
        ("networkPolicy", "NetworkPolicy"),
        ("cronJobs.daily", "CronJob"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("serviceMonitor", "ServiceMonitor"),
        ("prometheusRule", "PrometheusRule"),
        ("externalSecrets", "ExternalSecret"),
    ],
)
def test_each_component_can_be_enabled_and_disabled(switch, kind):
    more = {
        "externalSecrets": [
            "--set", "externalSecrets.secretStoreRef.name=s,externalSecrets.remoteKey=k",
        ],
        "gateway": ["--set", "gateway.existingSecret=g,gateway.tlsSecretName=t"],
        "ingress": ["--set", "settings.BASE_URL=https://vault.example.org"],
    }.get(switch, [])  # fmt: skip

    counts = [
        len(of_kind(rendered("default", "--set", f"{switch}.enabled={word}", *more), kind))
        for word in ("true", "false")
    ]

    assert counts[0] > counts[1]


def test_metrics_port_is_in_no_public_service():
    for service in of_kind(rendered("all-on"), "Service"):
        ports = {port["name"] for port in service["spec"]["ports"]}
        # The gateway has metrics on its own port, and no Ingress points to it.
        of_gateway = service["metadata"]["name"] == "vaultr-gateway"
        assert ports in (({"https"},) if of_gateway else ({"http"}, {"metrics"}))
    ingress = of_kind(rendered("all-on"), "Ingress")[0]
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "vaultr", "port": {"name": "http"}}


def test_large_numbers_are_rendered_without_exponent():
    objects = rendered("default", "--set", "settings.QUOTA_VAULT_BYTES=268435456")

    assert of_kind(objects, "ConfigMap")[0]["data"]["QUOTA_VAULT_BYTES"] == "268435456"
