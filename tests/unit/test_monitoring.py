"""Alerts and dashboards: each alert says what to do, and all queried metrics exist."""

import re

import pytest

from tests.guards import source_tree
from tests.harness import metric_queries
from vaultr.client.gateway import app as gateway
from vaultr.observability import metrics
from vaultr.ops.keys.commands import keys
from vaultr.ops.settings_commands import check, settings

RUNBOOK = (source_tree.ROOT / "docs" / "runbook.md").read_text()
HEADINGS = re.findall(r"^#+ (.+)$", RUNBOOK, re.M)
ENDS = {
    "CounterMetric": ("",),
    "GaugeMetric": ("",),
    "HistogramMetric": ("_bucket", "_count", "_sum"),
}


def anchors(text):
    """Return the anchors of a page's headings, as Markdown renderers create them."""
    return {re.sub(r"[^\w -]", "", one).strip().lower().replace(" ", "-") for one in text}


@pytest.mark.parametrize("alert", metric_queries.alerts(), ids=lambda one: one["alert"])
def test_each_alert_has_runbook_heading_and_severity(alert):
    name = alert["alert"]

    assert name in HEADINGS
    assert alert["annotations"]["runbook_url"].endswith(f"runbook.md#{name.lower()}")
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"]
    assert "for" in alert


def test_runbook_describes_only_existing_alerts():
    named = set(re.findall(r"\bVaultr[A-Z]\w+", RUNBOOK))

    assert named == {one["alert"] for one in metric_queries.alerts()}


def test_each_alarm_on_aws_names_a_runbook_heading():
    templates = (source_tree.ROOT / "deploy" / "aws").glob("*.yaml")
    alarms = re.findall(r"AlarmDescription: .*", "\n".join(path.read_text() for path in templates))
    named = [re.search(r"docs/runbook\.md#([\w-]+)\)", alarm) for alarm in alarms]

    assert len(alarms) > 15
    assert [
        alarm
        for alarm, heading in zip(alarms, named, strict=True)
        if heading is None or heading[1] not in anchors(HEADINGS)
    ] == []


def test_every_query_uses_existing_metrics():
    reported = {
        f"{one.name}{end}" for one in metrics.all_metrics() for end in ENDS[type(one).__name__]
    } | {*gateway.METRICS}
    unknown = {
        where: names - reported
        for where, query in metric_queries.queries().items()
        if (names := metric_queries.names_in(query)) - reported
    }

    assert unknown == {}
    assert len(metric_queries.queries()) > 50


def test_every_metric_is_in_an_alert_or_dashboard():
    requested = " ".join(metric_queries.queries().values())
    names = [one.name for one in metrics.all_metrics()] + [*gateway.METRICS]

    assert [name for name in names if name not in requested] == []


def test_rules_use_only_recorded_series_that_exist():
    requested = set(
        re.findall(r"vaultr:[\w:]+", " ".join(one["expr"] for one in metric_queries.rules()))
    )

    assert requested <= {one["record"] for one in metric_queries.rules() if "record" in one}


def test_dashboard_panels_are_complete_with_distinct_positions():
    assert len(metric_queries.DASHBOARDS) == 3
    for name, panel in metric_queries.panels():
        assert panel["title"], name
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${source}"
    places = [(name, *panel["gridPos"].values()) for name, panel in metric_queries.panels()]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("page", ["runbook", "post-mortem", "post-mortem-security", "upgrading"])
def test_links_of_operator_pages_exist(page):
    path = source_tree.ROOT / "docs" / f"{page}.md"
    text = path.read_text()
    for target in re.findall(r"\]\((?!https:)([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        there = path if not file else (path.parent / file).resolve()
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(re.findall(r"^#+ (.+)$", there.read_text(), re.M)), target


def test_commands_of_the_runbook_exist(sqlite_app):
    named = set(re.findall(r"`flask ((?:[a-z-]+ ?)+)", RUNBOOK))
    known = sqlite_app.cli.commands | {"keys": keys, "check": check, "settings": settings}

    assert [one for one in named if not _known(one, known)] == []


def _known(words, commands):
    """Follow the words through groups to a command; the following words are its arguments."""
    first, _, rest = words.strip().partition(" ")
    found = commands.get(first)
    if found is None or not hasattr(found, "commands") or not rest:
        return found is not None
    return _known(rest, found.commands)
