"""Monitoring in the chart: rules and dashboards are rendered once, and unchanged."""

import json

import yaml

from tests.harness import metric_queries
from tests.rollout.tools import of_kind, rendered

SHARED = {"PrometheusRule", "ServiceMonitor", "CronJob", "Ingress", "HTTPRoute"}


def test_rendered_prometheus_rule_equals_rules_file():
    [rule] = of_kind(rendered("shared"), "PrometheusRule")

    assert rule["spec"]["groups"] == yaml.safe_load(metric_queries.RULES.read_text())["groups"]


def test_alerts_link_to_runbook_url_of_values():
    [rule] = of_kind(rendered("all-on"), "PrometheusRule")

    links = {
        one["alert"]: one["annotations"]["runbook_url"]
        for group in rule["spec"]["groups"]
        for one in group["rules"]
        if "alert" in one
    }
    assert links == {
        name: f"https://wiki.example.org/vaultr/runbook.md#{name.lower()}" for name in links
    }
    assert len(links) == len(metric_queries.alerts())


def test_every_dashboard_is_rendered_unchanged():
    maps = of_kind(rendered("all-on"), "ConfigMap", "metrics")
    shown = {name: text for one in maps for name, text in one["data"].items()}

    assert {*shown} == {path.name for path in metric_queries.DASHBOARDS}
    for path in metric_queries.DASHBOARDS:
        assert json.loads(shown[path.name]) == json.loads(path.read_text())


def test_two_colours_render_monitoring_once():
    on = (
        "--set",
        "prometheusRule.enabled=true,grafanaDashboards.enabled=true,serviceMonitor.enabled=true",
    )
    colour = (*on, "--set", "service.create=false")
    together = [
        one
        for objects in (
            rendered("shared"), rendered("blue", *colour), rendered("green", *colour),
        )
        for one in objects
    ]  # fmt: skip

    names = [(one["kind"], one["metadata"]["name"]) for one in together]
    assert len(set(names)) == len(names)
    assert len(of_kind(together, "PrometheusRule")) == 1
    assert len(of_kind(together, "ServiceMonitor")) == 1
    assert len(of_kind(together, "CronJob")) == 4  # cleanup, daily, backup, drill
    uids = [
        json.loads(text)["uid"]
        for one in of_kind(together, "ConfigMap", "metrics")
        for text in one["data"].values()
    ]
    assert len(set(uids)) == len(uids) == len(metric_queries.DASHBOARDS)


def test_shared_and_colour_releases_render_different_kinds():
    shared = {one["kind"] for one in rendered("shared")} - {"Deployment"}
    colour = {one["kind"] for one in rendered("green")}

    assert not shared & {"Job", "PodDisruptionBudget"}
    assert [
        one["metadata"]["name"] for one in rendered("shared") if one["kind"] == "Deployment"
    ] == ["vaultr-sequencer"]
    assert not colour & SHARED


def test_metrics_of_both_colours_are_scraped():
    [service] = of_kind(rendered("shared"), "Service", "metrics")
    [monitor] = of_kind(rendered("shared"), "ServiceMonitor")

    assert "vaultr.app/colour" not in service["spec"]["selector"]
    assert "vaultr.app/colour" in monitor["spec"]["podTargetLabels"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= service["metadata"]["labels"].items()
