"""Alerts of backups, evaluated by a real Prometheus that scrapes a running server."""

import contextlib
import json
import re
import shutil
import subprocess
import urllib.request

import pytest
import yaml

from tests.faults.gunicorn_server import running
from tests.harness import backups, metric_queries, servers
from tests.harness.timing import until

# The rules wait 10 minutes and an hour. Their waiting times are divided by this factor.
FACTOR = 120
_DURATION = re.compile(r"(\d+)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def divided(duration):
    """Return a waiting time of the rules, divided by the factor; at least one second."""
    number, unit = _DURATION.fullmatch(duration).groups()
    return f"{max(1, int(number) * _SECONDS[unit] // FACTOR)}s"


def rules():
    """Return the rules as they are shipped, but with shorter waiting times."""
    content = yaml.safe_load(metric_queries.RULES.read_text())
    for group in content["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = divided(rule["for"])
    return content


class Prometheus:
    """A Prometheus that scrapes one server every second."""

    def __init__(self, folder, metrics_port):
        port = servers.free_port()
        self._url = f"http://127.0.0.1:{port}"
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {
                    "job_name": "vaultr",
                    "static_configs": [{"targets": [f"127.0.0.1:{metrics_port}"]}],
                }
            ],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self.command = [shutil.which("prometheus"), f"--config.file={folder}/prometheus.yaml"]
        self.command += [
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    def firing(self):
        """Return the names of the alerts that fire now."""
        with urllib.request.urlopen(f"{self._url}/api/v1/alerts", timeout=60) as response:
            alerts = json.load(response)["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def is_ready(self):
        """Check whether it has started."""
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{self._url}/-/ready", timeout=60).close() is None
        return False


@pytest.fixture
def server(tmp_path):
    """A server with metrics, whose backups are sealed for a key that its drill has."""
    home, folder = tmp_path / "home", tmp_path / "backups"
    home.mkdir()
    folder.mkdir()
    identity, recipient = backups.new_identity(tmp_path)
    more = {"BACKUP_RECIPIENT": recipient, "BACKUP_LOCATION": str(folder)}
    more |= {"BACKUP_IDENTITY_FILE": str(identity), "METRICS_PORT": str(servers.free_port())}
    with running(home, **more) as running_one:
        yield running_one


@pytest.fixture
def prometheus(server, tmp_path):
    folder = tmp_path / "prometheus"
    folder.mkdir()
    found = Prometheus(folder, server.environ["METRICS_PORT"])
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(found.command, stdout=log, stderr=log)
    try:
        until(found.is_ready)
        yield found
    finally:
        process.terminate()
        process.wait(30)


def test_waiting_times_are_divided_and_nothing_else_is_changed():
    shipped = {one["alert"]: one for one in metric_queries.alerts()}
    loaded = [one for group in rules()["groups"] for one in group["rules"] if "alert" in one]

    assert {one["alert"] for one in loaded} == set(shipped)
    assert all(one["expr"] == shipped[one["alert"]]["expr"] for one in loaded)
    assert shipped["VaultrBackupOld"]["for"] == "10m"
    assert divided("10m") == "5s"


def test_backup_alerts_fire_without_and_end_with_a_drill(server, prometheus):
    expected = {"VaultrBackupOld", "VaultrDrillOld"}
    until(lambda: expected <= prometheus.firing(), within=120)

    made = server.command("backup", "create")
    only_made = prometheus.firing()
    drilled = server.command("backup", "drill", "--json")

    assert made.returncode == 0, made.stderr
    assert expected <= only_made
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    until(lambda: not expected & prometheus.firing(), within=120)
