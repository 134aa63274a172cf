"""The chart brings the same rules and dashboards as deploy/: Helm reads no file outside of it."""

import json
import shutil

import pytest
import yaml

from tests.rollout import tools
from tests.rollout.tools import of_kind, rendered

RULES = tools.ROOT / "deploy" / "prometheus" / "rules.yaml"
DASHBOARDS = sorted((tools.ROOT / "deploy" / "grafana").glob("*.json"))
FILES = tools.CHART / "files"


@pytest.fixture(autouse=True, scope="module")
def _copied(pytestconfig):
    """With ``--write-docs`` the copies are made anew."""
    if pytestconfig.getoption("--write-docs"):
        shutil.rmtree(FILES, ignore_errors=True)
        (FILES / "dashboards").mkdir(parents=True)
        shutil.copy(RULES, FILES / "rules.yaml")
        for path in DASHBOARDS:
            shutil.copy(path, FILES / "dashboards" / path.name)


def test_the_copies_in_the_chart_are_the_files_of_deploy():
    assert (FILES / "rules.yaml").read_text() == RULES.read_text()
    copies = sorted((FILES / "dashboards").glob("*.json"))
    assert [path.name for path in copies] == [path.name for path in DASHBOARDS]
    assert [path.read_text() for path in copies] == [path.read_text() for path in DASHBOARDS]


def test_the_rules_that_are_rendered_are_those_of_deploy():
    [rule] = of_kind(rendered("all-on"), "PrometheusRule")

    assert rule["spec"]["groups"] == yaml.safe_load(RULES.read_text())["groups"]


def test_every_dashboard_is_rendered_as_it_is():
    maps = of_kind(rendered("all-on"), "ConfigMap", "metrics")
    shown = {name: text for one in maps for name, text in one["data"].items()}

    assert {*shown} == {path.name for path in DASHBOARDS}
    for path in DASHBOARDS:
        assert json.loads(shown[path.name]) == json.loads(path.read_text())
