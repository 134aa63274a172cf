"""The default checks of kube-score 1.20 and later, by name, for objects of the chart.

kube-score itself is published only as binaries and images, which `make tools` cannot pin. Each rule
yields the names of the objects that break it.
"""

import re

from tests.rollout.tools import pod_spec

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod")
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
LOWEST_ID = 10_000
HOST = "kubernetes.io/hostname"


def kinds(objects, *wanted):
    return [one for one in objects if one["kind"] in wanted]


def name(one):
    return f"{one['kind']}/{one['metadata']['name']}"


def pods(objects):
    """Yield name, labels and spec of every pod that the objects create."""
    for one in kinds(objects, *WORKLOADS):
        metadata, spec = (one["metadata"], one["spec"]) if one["kind"] == "Pod" else pod_spec(one)
        yield name(one), metadata.get("labels", {}), spec


def containers(objects):
    """Yield the name and spec of the pod, and each of its containers."""
    for found, _, spec in pods(objects):
        for one in [*spec["containers"], *spec.get("initContainers", [])]:
            yield f"{found}/{one['name']}", spec, one


def selects(selector, labels):
    wanted = selector.get("matchLabels", {})
    return "matchExpressions" not in selector and wanted.items() <= labels.items()


def context(spec, container):
    return {**spec.get("securityContext", {}), **container.get("securityContext", {})}


# --- deployments ---------------------------------------------------------------------------


def deployment_strategy(objects):
    for one in kinds(objects, "Deployment"):
        _, labels, _ = next(pods([one]))
        served = any(selects({"matchLabels": two["spec"]["selector"]}, labels)
                     for two in kinds(objects, "Service")
                     if two["spec"].get("clusterIP") != "None")  # fmt: skip
        if served and one["spec"].get("strategy", {}).get("type") != "RollingUpdate":
            yield name(one)


def scaled(objects):
    """Return the names of Deployments with an autoscaler."""
    return {one["spec"]["scaleTargetRef"]["name"]
            for one in kinds(objects, "HorizontalPodAutoscaler")}  # fmt: skip


def deployment_replicas(objects):
    for one in kinds(objects, "Deployment"):
        if one["metadata"]["name"] not in scaled(objects) and one["spec"].get("replicas", 1) < 2:
            yield name(one)


def deployment_has_poddisruptionbudget(objects):
    budgets = [one["spec"]["selector"] for one in kinds(objects, "PodDisruptionBudget")]
    for one in kinds(objects, "Deployment", "StatefulSet"):
        _, labels, _ = next(pods([one]))
        if not any(selects(selector, labels) for selector in budgets):
            yield name(one)


def deployment_has_host_podantiaffinity(objects):
    """Also accept topology constraints that spread pods over hosts, instead of anti-affinity."""
    for one in kinds(objects, "Deployment", "StatefulSet"):
        _, _, spec = next(pods([one]))
        spread = any(
            two["topologyKey"] == HOST for two in spec.get("topologySpreadConstraints", [])
        )
        if not spread and "podAntiAffinity" not in spec.get("affinity", {}):
            yield name(one)


def pod_topology_spread_constraints(objects):
    for one in kinds(objects, "Deployment", "StatefulSet"):
        _, labels, spec = next(pods([one]))
        constraints = spec.get("topologySpreadConstraints", [])
        if not constraints or not all(
            two["maxSkew"] >= 1 and two["whenUnsatisfiable"] in ("DoNotSchedule", "ScheduleAnyway")
            and selects(two["labelSelector"], labels) for two in constraints
        ):  # fmt: skip
            yield name(one)


def deployment_targeted_by_hpa_does_not_have_replicas_configured(objects):
    for one in kinds(objects, "Deployment"):
        if one["metadata"]["name"] in scaled(objects) and "replicas" in one["spec"]:
            yield name(one)


def deployment_pod_selector_labels_match_template_metadata_labels(objects):
    for one in kinds(objects, "Deployment", "StatefulSet"):
        _, labels, _ = next(pods([one]))
        if not selects(one["spec"]["selector"], labels):
            yield name(one)


# --- pods and containers -------------------------------------------------------------------


def container_resources(objects):
    for found, _, one in containers(objects):
        resources = one.get("resources", {})
        if any(kind not in resources.get(side, {})
               for side in ("requests", "limits") for kind in ("cpu", "memory")):  # fmt: skip
            yield found


def container_ephemeral_storage_request_and_limit(objects):
    """Accept pods that cannot fill a disk: a read-only root, and volumes with a size limit."""
    for found, spec, one in containers(objects):
        unlimited_volume = any("emptyDir" in two and "sizeLimit" not in two["emptyDir"]
                               for two in spec.get("volumes", []))  # fmt: skip
        limited = "ephemeral-storage" in one.get("resources", {}).get("limits", {})
        if not limited and (
            unlimited_volume or not context(spec, one).get("readOnlyRootFilesystem")
        ):
            yield found


def container_image_tag(objects):
    for found, _, one in containers(objects):
        last = one["image"].rpartition("/")[2]
        if not re.search(r"[:@]", last) or last.endswith(":latest"):
            yield found


def container_image_pull_policy(objects):
    for found, _, one in containers(objects):
        if one.get("imagePullPolicy") != "Always":
            yield found


def environment_variable_key_duplication(objects):
    for found, _, one in containers(objects):
        names = [two["name"] for two in one.get("env", [])]
        if len(names) != len({*names}):
            yield found


def pod_probes(objects):
    """Check pods behind a Service, like kube-score."""
    services = [one["spec"]["selector"] for one in kinds(objects, "Service")]
    for found, labels, spec in pods(objects):
        if not any(selects({"matchLabels": one}, labels) for one in services):
            continue
        if not any("readinessProbe" in one for one in spec["containers"]) or not any(
            "livenessProbe" in one for one in spec["containers"]
        ):
            yield found


def pod_probes_identical(objects):
    for found, _, one in containers(objects):
        if "readinessProbe" in one and _check_of(one["readinessProbe"]) == _check_of(
            one["livenessProbe"]
        ):
            yield found


def _check_of(probe):
    return {key: value for key, value in probe.items() if key in ("httpGet", "exec", "tcpSocket")}


def container_security_context_user_group_id(objects):
    for found, spec, one in containers(objects):
        known = context(spec, one)
        if min(known.get("runAsUser", 0), known.get("runAsGroup", 0)) < LOWEST_ID:
            yield found


def container_security_context_privileged(objects):
    for found, spec, one in containers(objects):
        known = context(spec, one)
        if known.get("privileged") or known.get("allowPrivilegeEscalation") is not False:
            yield found


def container_security_context_readonlyrootfilesystem(objects):
    for found, spec, one in containers(objects):
        if context(spec, one).get("readOnlyRootFilesystem") is not True:
            yield found


def container_seccomp_profile(objects):
    for found, spec, one in containers(objects):
        if context(spec, one).get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield found


def cronjob_has_deadline(objects):
    for one in kinds(objects, "CronJob"):
        if "startingDeadlineSeconds" not in one["spec"]:
            yield name(one)


def cronjob_restartpolicy(objects):
    for one in kinds(objects, "CronJob", "Job"):
        _, _, spec = next(pods([one]))
        if spec.get("restartPolicy") not in ("Never", "OnFailure"):
            yield name(one)


# --- network, budgets, everything ----------------------------------------------------------


def pod_networkpolicy(objects):
    policies = kinds(objects, "NetworkPolicy")
    for found, labels, _ in pods(objects):
        types = {kind for one in policies if selects(one["spec"]["podSelector"], labels)
                 for kind in one["spec"]["policyTypes"]}  # fmt: skip
        if types != {"Ingress", "Egress"}:
            yield found


def networkpolicy_targets_pod(objects):
    for one in kinds(objects, "NetworkPolicy"):
        if not any(selects(one["spec"]["podSelector"], labels) for _, labels, _ in pods(objects)):
            yield name(one)


def service_targets_pod(objects):
    for one in kinds(objects, "Service"):
        selector = {"matchLabels": one["spec"]["selector"]}
        if not any(selects(selector, labels) for _, labels, _ in pods(objects)):
            yield name(one)


def service_type(objects):
    for one in kinds(objects, "Service"):
        if one["spec"].get("type") == "NodePort":
            yield name(one)


def ingress_targets_service(objects):
    ports = {(one["metadata"]["name"], two.get(key)) for one in kinds(objects, "Service")
             for two in one["spec"]["ports"] for key in ("name", "port")}  # fmt: skip
    for one in kinds(objects, "Ingress"):
        for rule in one["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                if not {(service["name"], two) for two in service["port"].values()} <= ports:
                    yield name(one)


def poddisruptionbudget_has_policy(objects):
    for one in kinds(objects, "PodDisruptionBudget"):
        if not {"minAvailable", "maxUnavailable"} & {*one["spec"]}:
            yield name(one)


def horizontalpodautoscaler_has_target(objects):
    known = {(one["kind"], one["metadata"]["name"]) for one in objects}
    for one in kinds(objects, "HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) not in known:
            yield name(one)


def horizontalpodautoscaler_replicas(objects):
    for one in kinds(objects, "HorizontalPodAutoscaler"):
        if one["spec"].get("minReplicas", 1) < 2:
            yield name(one)


def stable_version(objects):
    for one in objects:
        ours = "." not in one["apiVersion"].partition("/")[0] or ".k8s.io/" in one["apiVersion"]
        if ours and re.search(r"(alpha|beta)\d", one["apiVersion"]):
            yield name(one)


def label_values(objects):
    for one in objects:
        labels = [*one["metadata"].get("labels", {}).values()]
        labels += [value for _, more, _ in pods([one]) for value in more.values()]
        if not all(LABEL.fullmatch(value) for value in labels):
            yield name(one)


def statefulsets(objects):
    """Yield every StatefulSet; the chart has none, so five checks have no object."""
    yield from (name(one) for one in kinds(objects, "StatefulSet"))


RULES = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        deployment_strategy, deployment_replicas, deployment_has_poddisruptionbudget,
        deployment_has_host_podantiaffinity, pod_topology_spread_constraints,
        deployment_targeted_by_hpa_does_not_have_replicas_configured,
        deployment_pod_selector_labels_match_template_metadata_labels,
        container_resources, container_ephemeral_storage_request_and_limit, container_image_tag,
        container_image_pull_policy, environment_variable_key_duplication, pod_probes,
        pod_probes_identical, container_security_context_user_group_id,
        container_security_context_privileged, container_security_context_readonlyrootfilesystem,
        container_seccomp_profile, cronjob_has_deadline, cronjob_restartpolicy, pod_networkpolicy,
        networkpolicy_targets_pod, service_targets_pod, service_type, ingress_targets_service,
        poddisruptionbudget_has_policy, horizontalpodautoscaler_has_target,
        horizontalpodautoscaler_replicas, stable_version, label_values, statefulsets,
    )
}  # fmt: skip
