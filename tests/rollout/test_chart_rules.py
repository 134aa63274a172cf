"""The chart follows the rules of kube-score, and each rule detects violations."""

import copy

import pytest

from tests.rollout import chart_rules, tools
from tests.rollout.chart_rules import RULES
from tests.rollout.tools import rendered

# Releases that run together: a colour has pods, `shared` has the Service that points to them.
TOGETHER = {"blue": ("shared",), "green": ("shared",)}
SETS = [
    path.name.removesuffix("-values.yaml")
    for path in tools.VALUES_FILES
    if "shared" not in path.name
]
ONE_POD = (
    "the worker takes turns under locks, and the sequencer must never run twice: a second pod would"
    " wait, and a budget for one pod would block the drain of its node"
)
NO_REQUESTS = "no request is sent to it: its readiness only paces a rollout, by the same heartbeat"
SKIPPED = {
    ("pod-probes-identical", "worker"): NO_REQUESTS,
    ("pod-probes-identical", "sequencer"): NO_REQUESTS,
    ("deployment-replicas", "worker"): ONE_POD,
    ("deployment-replicas", "sequencer"): ONE_POD,
    ("deployment-has-poddisruptionbudget", "worker"): ONE_POD,
    ("deployment-has-poddisruptionbudget", "sequencer"): ONE_POD,
}
OPENSHIFT = "container-security-context-user-group-id"  # the SCC chooses users and groups


def _objects(name):
    found = list(rendered(name))
    for other in TOGETHER.get(name, ()):
        found += rendered(other, "--set", f"service.colour={name}", "--set", f"colour={name}")
    return found


def _breaks(rule, objects):
    return [one for one in RULES[rule](objects)
            if (rule, one.split("/")[1].rpartition("-")[2]) not in SKIPPED]  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_chart_follows_each_kube_score_rule(name):
    objects = _objects(name)

    found = {rule: _breaks(rule, objects) for rule in RULES}

    if name == "openshift":
        del found[OPENSHIFT]
    assert {rule: names for rule, names in found.items() if names} == {}


def _web(objects):
    [found] = [one for one in objects if one["kind"] == "Deployment"
               and one["metadata"]["labels"]["app.kubernetes.io/component"] == "web"]  # fmt: skip
    return found


def _first(objects, kind):
    return chart_rules.kinds(objects, kind)[0]


def _pod(objects):
    return _web(objects)["spec"]["template"]["spec"]


def _container(objects):
    return _pod(objects)["containers"][0]


def _broken_hpa(objects):
    _first(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] = "other"


# What each rule must detect.
DAMAGE = {
    "deployment-strategy": lambda all_: _web(all_)["spec"].update(strategy={"type": "Recreate"}),
    "deployment-replicas": lambda all_: (_broken_hpa(all_), _web(all_)["spec"].update(replicas=1)),
    "deployment-has-poddisruptionbudget": lambda all_: all_.remove(
        _first(all_, "PodDisruptionBudget")
    ),
    "deployment-has-host-podantiaffinity": lambda all_: _pod(all_).update(
        topologySpreadConstraints=[], affinity={}
    ),
    "pod-topology-spread-constraints": lambda all_: _pod(all_).update(topologySpreadConstraints=[]),
    "deployment-targeted-by-hpa-does-not-have-replicas-configured": lambda all_: _web(all_)[
        "spec"
    ].update(replicas=2),
    "deployment-pod-selector-labels-match-template-metadata-labels": lambda all_: _web(all_)[
        "spec"
    ]["selector"]["matchLabels"].update(a="b"),
    "container-resources": lambda all_: _container(all_)["resources"].pop("limits"),
    "container-ephemeral-storage-request-and-limit": lambda all_: _pod(all_)["volumes"].append(
        {"name": "x", "emptyDir": {}}
    ),
    "container-image-tag": lambda all_: _container(all_).update(image="r.example.org:5000/vaultr"),
    "container-image-pull-policy": lambda all_: _container(all_).update(
        imagePullPolicy="IfNotPresent"
    ),
    "environment-variable-key-duplication": lambda all_: _container(all_)["env"].append(
        _container(all_)["env"][0]
    ),
    "pod-probes": lambda all_: _container(all_).pop("readinessProbe"),
    "pod-probes-identical": lambda all_: _container(all_).update(
        readinessProbe=_container(all_)["livenessProbe"]
    ),
    "container-security-context-user-group-id": lambda all_: _container(all_)[
        "securityContext"
    ].update(runAsUser=1000),
    "container-security-context-privileged": lambda all_: _container(all_)[
        "securityContext"
    ].update(privileged=True),
    "container-security-context-readonlyrootfilesystem": lambda all_: _container(all_)[
        "securityContext"
    ].pop("readOnlyRootFilesystem"),
    "container-seccomp-profile": lambda all_: _container(all_)["securityContext"].update(
        seccompProfile={"type": "Unconfined"}
    ),
    "cronjob-has-deadline": lambda all_: _first(all_, "CronJob")["spec"].pop(
        "startingDeadlineSeconds"
    ),
    "cronjob-restartpolicy": lambda all_: tools.pod_spec(_first(all_, "CronJob"))[1].update(
        restartPolicy="Always"
    ),
    "pod-networkpolicy": lambda all_: all_.remove(_first(all_, "NetworkPolicy")),
    "networkpolicy-targets-pod": lambda all_: (
        all_.remove(_first(all_, "CronJob"))
        or [all_.remove(one) for one in chart_rules.kinds(all_, "CronJob")]
    ),
    "service-targets-pod": lambda all_: _first(all_, "Service")["spec"]["selector"].update(a="b"),
    "service-type": lambda all_: _first(all_, "Service")["spec"].update(type="NodePort"),
    "ingress-targets-service": lambda all_: [
        all_.remove(one) for one in chart_rules.kinds(all_, "Service")
    ],
    "poddisruptionbudget-has-policy": lambda all_: [
        _first(all_, "PodDisruptionBudget")["spec"].pop(key, None)
        for key in ("minAvailable", "maxUnavailable")
    ],
    "horizontalpodautoscaler-has-target": _broken_hpa,
    "horizontalpodautoscaler-replicas": lambda all_: _first(all_, "HorizontalPodAutoscaler")[
        "spec"
    ].update(minReplicas=1),
    "stable-version": lambda all_: _first(all_, "CronJob").update(apiVersion="batch/v1beta1"),
    "label-values": lambda all_: _web(all_)["metadata"]["labels"].update(a="no spaces"),
    "statefulsets": lambda all_: _web(all_).update(kind="StatefulSet"),
}


@pytest.mark.parametrize("rule", RULES)
def test_kube_score_rule_detects_violation(rule):
    objects = copy.deepcopy(list(rendered("all-on")))
    assert _breaks(rule, objects) == []

    DAMAGE[rule](objects)

    assert _breaks(rule, objects) != []
