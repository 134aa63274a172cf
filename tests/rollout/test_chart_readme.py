"""The chart's README: its table of values is generated from the schema (--write-docs)."""

import json
import re

import yaml

from tests.rollout import tools

README = tools.CHART / "README.md"
MARK = "## Values\n"
# All workloads accept the same keys; the table lists them once, for all workloads.
OF_EVERY_POD = "podLabels"


def rows():
    """Return the rows of the table in the order of the schema: value, type, default, meaning."""
    schema = json.loads((tools.CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((tools.CHART / "values.yaml").read_text())
    shared = set()
    names = list(schema["properties"])
    for name in names[names.index(OF_EVERY_POD) : names.index("serviceAccount")]:
        shared.add(name)
    yield from _rows(schema["properties"], defaults, "", shared, nested=False)


def _rows(properties, defaults, prefix, shared, *, nested):
    for name, part in properties.items():
        if nested and name in shared:
            continue
        path = f"{prefix}{name}"
        default = defaults.get(name) if isinstance(defaults, dict) else None
        if part.get("properties") and path != "settings":
            yield from _rows(part["properties"], default, f"{path}.", shared, nested=True)
            continue
        shown = "" if default in (None, "") else f"`{json.dumps(default)}`"
        words = [str(one) or "empty" for one in part.get("enum", ["number or text"])]
        kind = part.get("type") or ", ".join(words)
        cells = [f"`{path}`", kind, shown, part["description"]]
        yield "| " + " | ".join(one.replace("|", "\\|") for one in cells) + " |"


def table():
    return "\n".join(
        ["| Value | Type | Default | Description |", "| --- | --- | --- | --- |", *rows(), ""]
    )


def test_readme_table_equals_the_values_schema(pytestconfig):
    head, mark, _ = README.read_text().partition(MARK)
    note = (
        "\nYou can set the pod values, from `podLabels` to `containerSecurityContext`, at the top"
        " for all workloads, and again for one\nworkload in `web`, `worker`, `sequencer`,"
        " `gateway`, `migration`, `cronJobs`, each cron job, and `test`."
        " Lists of both places\nare added, maps are merged, and other values of the workload"
        " replace those at the top.\n\n"
    )
    wanted = f"{head}{mark}{note}{table()}"
    if pytestconfig.getoption("--write-docs"):
        README.write_text(wanted)

    assert README.read_text() == wanted


def test_readme_describes_every_default_value():
    described = set(re.findall(r"^\| `([\w.]+)`", README.read_text(), re.M))
    defaults = yaml.safe_load((tools.CHART / "values.yaml").read_text())

    assert [
        name for name in defaults if not any(one.split(".")[0] == name for one in described)
    ] == []
    assert len(described) > 100


def test_chart_has_artifact_hub_annotations():
    chart = yaml.safe_load((tools.CHART / "Chart.yaml").read_text())

    names = {name.removeprefix("artifacthub.io/") for name in chart["annotations"]}
    assert {"category", "license", "links", "signKey", "images"} - {"signKey"} <= names
    assert all(isinstance(value, str) for value in chart["annotations"].values())


def test_chart_follows_chart_testing_rules():
    chart = yaml.safe_load((tools.CHART / "Chart.yaml").read_text())

    assert re.fullmatch(r"\d+\.\d+\.\d+", chart["version"])
    assert chart["maintainers"][0].keys() >= {"name", "url"}
    for path in sorted(tools.CHART.rglob("*.yaml")):
        text = path.read_text()
        assert text.endswith("\n"), path
        assert "\t" not in text, path
        assert all(line == line.rstrip() for line in text.splitlines()), path
        if "templates" not in path.parts:
            yaml.safe_load(text)
