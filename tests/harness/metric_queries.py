"""The queries of alert rules and dashboards, and the metric names in them."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "helm" / "vaultr" / "files" / "rules.yaml"
DASHBOARDS = sorted((RULES.parent / "dashboards").glob("*.json"))
_NAME = re.compile(r"\bvaultr_[a-z_]+")


def rules():
    """List all rules, recording ones and alerts."""
    return [one for group in yaml.safe_load(RULES.read_text())["groups"] for one in group["rules"]]


def alerts():
    return [one for one in rules() if "alert" in one]


def panels():
    """List all panels, as (dashboard, panel)."""
    loaded = [(path.stem, json.loads(path.read_text())) for path in DASHBOARDS]
    return [(name, panel) for name, board in loaded for panel in board["panels"]]


def queries():
    """Return every query with its location."""
    found = {f"rule {one.get('alert') or one['record']}": one["expr"] for one in rules()}
    for name, panel in panels():
        for target in panel["targets"]:
            found[f"{name}: {panel['title']} {target['refId']}"] = target["expr"]
    return found


def names_in(query):
    """List the metrics that a query uses."""
    return set(_NAME.findall(query))
