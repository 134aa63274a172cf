"""A real Prometheus that scrapes running processes and loads the alert rules, sped up."""

import contextlib
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request

import yaml

from tests.harness import metric_queries, servers
from tests.harness.threads import UntilEnd
from tests.harness.timing import until

# An hour becomes a minute, because the rules wait for minutes and hours.
FACTOR = 60
# The thresholds of these alerts are ages in seconds, so they are waiting times too.
AGES = {"VaultrAuditLag", "VaultrBackupOld", "VaultrDrillOld", "VaultrMailStuck"}
AGES |= {"VaultrWorkerStuck"}
# The threshold of this alert is a number of events an hour: in a minute a 60th is the same rate.
RATES = {"VaultrAuditGrows"}
POLL_SECONDS = 0.25
_DURATION = re.compile(r"(\d+)([smhd])")
_WINDOW = re.compile(r"\[(\d+[smhd])\]")
_OFFSET = re.compile(r" offset (\d+[smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# A window must contain two samples, one second apart.
_SHORTEST_WINDOW = 4


def divided(duration, *, least=1):
    """Return a duration of the rules, divided by the factor."""
    number, unit = _DURATION.fullmatch(duration).groups()
    return f"{max(least, int(number) * _SECONDS[unit] // FACTOR)}s"


def accelerated(rule):
    """Return a rule with waiting time, windows, age and rate divided by the factor."""
    found = dict(rule)
    expression = rule["expr"]
    if rule.get("alert") in AGES | RATES:
        before, _, threshold = expression.rpartition(" > ")
        expression = f"{before} > ({threshold}) / {FACTOR}"
    expression = _OFFSET.sub(lambda offset: f" offset {divided(offset[1])}", expression)
    found["expr"] = _WINDOW.sub(
        lambda window: f"[{divided(window[1], least=_SHORTEST_WINDOW)}]", expression
    )
    if "for" in rule:
        found["for"] = divided(rule["for"])
    return found


def rules():
    """Return the shipped rules with shorter waiting times."""
    content = yaml.safe_load(metric_queries.RULES.read_text())
    for group in content["groups"]:
        group["interval"] = "1s"
        group["rules"] = [accelerated(rule) for rule in group["rules"]]
    return content


class Prometheus:
    """A Prometheus that scrapes ports of this machine every second, until the block ends."""

    def __init__(self, folder, *ports):
        folder.mkdir(exist_ok=True)
        port = servers.free_port()
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}"
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
        targets = [{"targets": [f"127.0.0.1:{one}" for one in ports]}]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "vaultr", "static_configs": targets}],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self._command = [shutil.which("prometheus"), f"--config.file={folder}/prometheus.yaml"]
        self._command += [
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    def __enter__(self):
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until(self._is_ready)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(30)

    def firing(self):
        """Return the names of the alerts that are firing."""
        with urllib.request.urlopen(f"{self._url}/api/v1/alerts", timeout=60) as response:
            alerts = json.load(response)["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def _is_ready(self):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{self._url}/-/ready", timeout=60).close() is None
        return False


class Pager(UntilEnd):
    """Records when each alert began to fire, until the block ends."""

    def __init__(self, prometheus):
        self._prometheus = prometheus
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._known, self._fired = set(), {}
        super().__init__([self._watch])

    def begin(self):
        """Forget which alerts have fired; those that fire now count again when they restart."""
        with self._lock:
            self._began, self._fired = time.monotonic(), {}

    def fired(self):
        """Return the alerts that began to fire, and after how many seconds."""
        with self._lock:
            return dict(self._fired)

    def wait_for(self, names, *, within=300):
        """Wait until all of these alerts have fired."""
        until(lambda: set(names) <= self.fired().keys() | self._known, within=within)

    def wait_for_end(self, names, *, within=300):
        """Wait until none of these alerts is firing."""
        until(lambda: not set(names) & self._prometheus.firing(), within=within)

    def _watch(self, done):
        while not done.wait(POLL_SECONDS):
            now = self._prometheus.firing()
            with self._lock:
                for name in now - self._known:
                    self._fired.setdefault(name, time.monotonic() - self._began)
                self._known = now
