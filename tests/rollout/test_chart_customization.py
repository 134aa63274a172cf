"""Values that customise pods: each value alone, and all together."""

import json

import pytest

from tests.rollout import tools
from tests.rollout.tools import of_kind, pod_spec, rendered

TOLERATION = {"key": "dedicated", "operator": "Exists"}
CONSTRAINT = {
    "maxSkew": 2, "topologyKey": "example.org/rack", "whenUnsatisfiable": "ScheduleAnyway",
    "labelSelector": {"matchLabels": {"a": "b"}},
}  # fmt: skip
CONTAINER = {"name": "proxy", "image": "registry.example.org/proxy:1.2"}
# A value, and where it must appear: in the pod's metadata, its spec or its main container.
POD_VALUES = {
    "extraEnv": ([{"name": "A", "value": "b"}], "container.env"),
    "extraEnvFrom": ([{"configMapRef": {"name": "more"}}], "container.envFrom"),
    "extraVolumes": ([{"name": "v", "emptyDir": {}}], "spec.volumes"),
    "extraVolumeMounts": ([{"name": "tmp", "mountPath": "/x"}], "container.volumeMounts"),
    "initContainers": ([CONTAINER], "spec.initContainers"),
    "sidecars": ([CONTAINER], "spec.initContainers"),
    "hostAliases": ([{"ip": "192.0.2.1", "hostnames": ["db"]}], "spec.hostAliases"),
    "tolerations": ([TOLERATION], "spec.tolerations"),
    "topologySpreadConstraints": ([CONSTRAINT], "spec.topologySpreadConstraints"),
    "podLabels": ({"example.org/a": "b"}, "metadata.labels"),
    "podAnnotations": ({"example.org/a": "b"}, "metadata.annotations"),
    "nodeSelector": ({"example.org/a": "b"}, "spec.nodeSelector"),
    "affinity": ({"podAntiAffinity": {}}, "spec.affinity"),
    "dnsConfig": ({"nameservers": ["192.0.2.1"]}, "spec.dnsConfig"),
    "podSecurityContext": ({"runAsUser": 1000650000}, "spec.securityContext"),
    "containerSecurityContext": ({"runAsUser": 1000650000}, "container.securityContext"),
    "priorityClassName": ("high", "spec.priorityClassName"),
    "terminationGracePeriodSeconds": (77, "spec.terminationGracePeriodSeconds"),
}
WORKLOADS = {
    "web": "vaultr-blue",
    "worker": "vaultr-blue-worker",
    "sequencer": "vaultr-sequencer",
    "gateway": "vaultr-gateway",
    "migration": "vaultr-blue-migrate",
    "cronJobs": "vaultr-cleanup",
    "cronJobs.daily": "vaultr-daily",
    "test": "vaultr-test",
}
GATEWAY = ("--set", "gateway.enabled=true,gateway.existingSecret=g,gateway.tlsSecretName=t")
KINDS = ("Deployment", "Job", "CronJob", "Pod")


def pods(objects):
    """Return the pods by workload, as (metadata, spec)."""
    return {
        one["metadata"]["name"]: (one["metadata"], one["spec"])
        if one["kind"] == "Pod"
        else pod_spec(one)
        for one in objects
        if one["kind"] in KINDS
    }


def has_value(pod, place, value):
    """Check whether a pod has a value, in addition to the chart's own."""
    metadata, spec = pod
    part, field = place.split(".")
    parts = {"metadata": metadata, "spec": spec, "container": spec["containers"][0]}
    found = parts[part].get(field)
    if isinstance(value, list):
        return all(any(one.items() <= each.items() for each in found or []) for one in value)
    if isinstance(value, dict):
        return value.items() <= (found or {}).items()
    return found == value


@pytest.mark.parametrize("name", POD_VALUES)
def test_global_pod_value_applies_to_every_pod(name):
    value, place = POD_VALUES[name]

    flags = ("--set-json", f"{name}={json.dumps(value)}", *GATEWAY)
    found = pods(rendered("default", *flags))

    assert {*WORKLOADS.values()} <= {*found}
    assert [one for one, pod in found.items() if not has_value(pod, place, value)] == []


@pytest.mark.parametrize("workload", WORKLOADS)
def test_workload_values_apply_only_to_its_pods(workload):
    values = {name: value for name, (value, _) in POD_VALUES.items()}
    more = {
        "resources": {side: {"cpu": "123m", "memory": "99Mi"} for side in ("requests", "limits")}
    }

    flags = (
        "--set-json", f"{workload}={json.dumps(values | more)}", *GATEWAY,
        "--set", "sequencer.persistentVolumeClaim=vaultr-audit",
        "--set", "cronJobs.backup.persistentVolumeClaim=vaultr-backups",
        "--set", "cronJobs.drill.persistentVolumeClaim=vaultr-backups",
    )  # fmt: skip
    found = pods(rendered("default", *flags))

    changed = {
        name for name, pod in found.items() if has_value(pod, *reversed(POD_VALUES["podLabels"]))
    }
    of_all_jobs = {"vaultr-daily", "vaultr-backup", "vaultr-drill"}
    expected = {WORKLOADS[workload]} | (of_all_jobs if workload == "cronJobs" else set())
    assert changed == expected
    for one in changed:
        assert [
            name
            for name, (value, place) in POD_VALUES.items()
            if not has_value(found[one], place, value)
        ] == []
        assert found[one][1]["containers"][0]["resources"] == more["resources"]


def test_common_labels_are_on_every_object_but_no_selector():
    flags = ("--set", "commonLabels.team=vault,commonAnnotations.owner=me")
    objects = rendered("default", *flags)

    assert [
        one for one in objects if one["metadata"].get("labels", {}).get("team") != "vault"
    ] == []
    assert [one for one in objects if one["metadata"]["annotations"].get("owner") != "me"] == []
    for one in of_kind(objects, "Deployment") + of_kind(objects, "Service"):
        assert "team" not in str(one["spec"]["selector"])


def test_custom_labels_never_override_selector_labels():
    flags = ("--set", r"commonLabels.vaultr\.app/colour=red,podLabels.app\.kubernetes\.io/name=x")
    web = of_kind(rendered("default", *flags), "Deployment", "web")[0]

    assert web["spec"]["selector"]["matchLabels"].items() <= pod_spec(web)[0]["labels"].items()


def test_sidecars_are_restartable_init_containers():
    flags = ("--set-json", f"sidecars=[{json.dumps(CONTAINER)}]")
    objects = rendered("default", *flags)

    for name, (_, spec) in pods(objects).items():
        assert len(spec["containers"]) == 1, name
        assert spec["initContainers"] == [CONTAINER | {"restartPolicy": "Always"}]


def test_openshift_values_set_no_user_or_group():
    for name, (_, spec) in pods(rendered("openshift")).items():
        contexts = [spec["securityContext"], spec["containers"][0]["securityContext"]]
        for context in contexts:
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & {*context}, name
            assert context["runAsNonRoot"] is True
        # What the SCC restricted-v2 requires of the rest.
        assert contexts[1]["allowPrivilegeEscalation"] is False
        assert contexts[1]["capabilities"] == {"drop": ["ALL"]}
        assert contexts[1]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {kind for one in spec.get("volumes", []) for kind in one} <= {
            "name", "configMap", "emptyDir", "secret", "persistentVolumeClaim", "projected", "csi",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "image"),
    [
        ([], "registry.example.org/vaultr:0.1.0"),
        (["--set", "image.registry=r.example,image.repository=v"], "r.example/v:0.1.0"),
        (
            ["--set", "global.imageRegistry=g.example,image.registry=r.example,image.repository=v"],
            "g.example/v:0.1.0",
        ),
    ],
)
def test_global_image_registry_overrides_image_registry(flags, image):
    for _, spec in pods(rendered("default", *flags)).values():
        assert spec["containers"][0]["image"] == image


def test_existing_service_account_is_used_by_every_pod():
    flags = ("--set", "serviceAccount.create=false,serviceAccount.name=mine")
    objects = rendered("default", *flags)

    assert of_kind(objects, "ServiceAccount") == []
    names = {name: spec.get("serviceAccountName") for name, (_, spec) in pods(objects).items()}
    assert names.pop("vaultr-test") is None
    assert {*names.values()} == {"mine"}


def test_changed_secret_restarts_web_pods():
    def annotations(*flags):
        web = of_kind(rendered("default", *flags), "Deployment", "web")[0]
        return pod_spec(web)[0]["annotations"], web["metadata"].get("annotations", {})

    pod, _ = annotations("--set-string", "secretsChecksum=2")
    _, deployment = annotations("--set", "reloader.enabled=true")

    assert pod["checksum/secrets"] == "2"
    assert deployment == {"secret.reloader.stakater.com/reload": "vaultr-secrets"}
    assert "checksum/secrets" not in annotations()[0]


@pytest.mark.parametrize("job", ["cleanup", "daily"])
def test_cron_jobs_can_be_suspended_and_have_time_zone(job):
    flags = ("--set", f"cronJobs.timeZone=Europe/Vienna,cronJobs.{job}.suspend=true")
    found = {
        one["metadata"]["name"]: one["spec"]
        for one in of_kind(rendered("default", *flags), "CronJob")
    }

    assert {one["timeZone"] for one in found.values()} == {"Europe/Vienna"}
    assert [name for name, spec in found.items() if spec["suspend"]] == [f"vaultr-{job}"]


def test_all_pod_values_together_match_kubernetes_schemas(tmp_path):
    values = {name: value for name, (value, _) in POD_VALUES.items()}
    values["sidecars"] = [CONTAINER | {"name": "other"}]
    path = tmp_path / "values.json"
    path.write_text(json.dumps({"web": values, **values}))

    tools.check_schemas(rendered("default", "--values", str(path)), tmp_path, ["1.29", "1.37"])


@pytest.mark.parametrize("colour", ["blue", "green"])
def test_repeated_helm_template_keeps_colour_of_values(colour):
    """Argo CD renders with `helm template`, which cannot query the cluster."""
    flags = ("--set", f"service.colour={colour},service.keepLive=false")

    once, again = (
        tools.template("--values", str(tools.CHART / "ci/shared-values.yaml"), *flags) for _ in "12"
    )

    assert once.stdout == again.stdout
    [service] = of_kind(rendered("shared", *flags), "Service", "web")
    assert service["spec"]["selector"]["vaultr.app/colour"] == colour


def test_service_and_ingress_metadata_come_from_values():
    before = rendered("shared")
    after = rendered(
        "shared", "--set", "service.labels.a=b,service.annotations.c=d,ingress.annotations.e=f"
    )

    def selector(objects):
        return of_kind(objects, "Service", "web")[0]["spec"]["selector"]

    assert selector(before) == selector(after)
    service, ingress = of_kind(after, "Service", "web")[0], of_kind(after, "Ingress")[0]
    assert service["metadata"]["labels"]["a"] == "b"
    assert service["metadata"]["annotations"]["c"] == "d"
    assert ingress["metadata"]["annotations"]["e"] == "f"
