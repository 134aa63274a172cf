"""Pods start, stop and die behind a real edge while sixteen clients send requests: none fails."""

import json
import threading
import time

import pytest

from tests.harness.threads import UntilEnd
from tests.rollout.compose_processes import Site
from tests.rollout.fake_kubectl import Cluster
from tests.rollout.load import Load

CLIENTS = 16
# All clients have one address.
POD = {
    "WEB_CONCURRENCY": "1", "LIMIT_ANONYMOUS": "1000000/60", "DRAIN_SECONDS": "2",
    "PARALLEL_REQUESTS": "1000",
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pods")
    folder.chmod(0o755)
    with Site(folder) as site:
        yield site


def test_rolling_restart_loses_no_request(site):
    site.start("app1", **POD)
    site.start("app2", **POD)
    https, _ = site.edge("rolling", backends=["app1", "app2"])

    with Load(https, CLIENTS) as load:
        for old, new in (("app1", "app3"), ("app2", "app4")):
            site.start(new, **POD)
            others = [name for name in site.running if name.startswith("app") and name != old]
            codes = []
            stopping = threading.Thread(target=_stop, args=(site, old, codes))
            stopping.start()
            # A load balancer notices through /api/ready, which returns 503 from the signal on.
            _wait_until(lambda port=site.ports[old]: site.ask(port, "/api/ready")[0] == 503)
            site.route_to("rolling", others)
            stopping.join()
            assert codes == [0]
        time.sleep(0.5)

    assert load.failed == []
    assert load.responses > 200
    for name in ("rolling", "app3", "app4"):
        site.stop(name)


def test_blue_green_switches_lose_no_request(site, tmp_path):
    site.start("app-blue", **POD)
    site.start("app-green", **POD)
    https, _ = site.edge("colours", backends=["app-blue"])
    switches = tmp_path / "switches"
    switches.touch()
    record_switch = f"sh -c 'echo $0 >> {switches}'"
    cluster = Cluster(tmp_path, pods={"blue": 1, "green": 1}, on_switch=record_switch)
    url = f"http://127.0.0.1:{site.ports['app-green']}/api/ready"

    with Load(https, CLIENTS) as load, _TrafficSwitch(site, switches):
        for arguments in (["switch", "green"], ["rollback"], ["switch", "green"]):
            done = cluster.run(*arguments, WATCH_SECONDS="2", SMOKE_URL=url)
            assert done.returncode == 0, done.stderr
        time.sleep(0.5)
        assert switches.read_text().split() == ["green", "blue", "green"]
        assert site.stop("app-blue") == 0

    assert load.failed == []
    assert load.responses > 200
    assert json.loads(cluster.run("status", "--json").stdout)["live"] == "green"
    for name in ("colours", "app-green"):
        site.stop(name)


def _stop(site, name, codes):
    codes.append(site.stop(name))


class _TrafficSwitch(UntilEnd):
    """Simulates the traffic change after the selector of the Service has changed."""

    def __init__(self, site, switches):
        self._site, self._switches = site, switches
        super().__init__([self._follow])

    def _follow(self, done):
        seen = 0
        while not done.wait(0.05):
            colours = self._switches.read_text().split()
            if len(colours) > seen:
                seen = len(colours)
                self._site.route_to("colours", [f"app-{colours[-1]}"])


def _wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
