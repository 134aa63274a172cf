"""The alert rules: promtool accepts them, and each alert has a unit test that fires it."""

import re
import subprocess

from tests.harness import metric_queries

TESTS = metric_queries.ROOT / "deploy" / "prometheus" / "rules.test.yaml"


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_all_alert_rules():
    assert f"{len(metric_queries.rules())} rules found" in promtool(
        "check", "rules", str(metric_queries.RULES)
    )


def test_promtool_unit_tests_of_alerts_pass():
    assert "SUCCESS" in promtool("test", "rules", str(TESTS))


def test_every_alert_has_a_firing_unit_test():
    shown = TESTS.read_text()
    fires = re.findall(r'alertname="(\w+)"', shown)
    fires += re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", shown)

    assert set(fires) == {one["alert"] for one in metric_queries.alerts()}


def test_promtool_accepts_every_dashboard_query(tmp_path):
    rules = [
        f"  - record: dashboard:{number}\n    expr: {query!r}\n"
        for number, query in enumerate(metric_queries.queries().values())
    ]
    file = tmp_path / "queries.yaml"
    file.write_text("groups:\n- name: queries\n  rules:\n" + "".join(rules))

    promtool("check", "rules", "--lint=none", str(file))
