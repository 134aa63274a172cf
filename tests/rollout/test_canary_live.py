"""A canary over a running deployment: planted by `vaultr`, searched for in everything it writes.

Edge, server, worker, sequencer, PostgreSQL with its roles, Redis with its rights, mail server, S3
server and trace collector run as in docker-compose.yml.
"""

import json
import os
import re
import time

import pytest
import redis

from tests.harness.client.devices import Device
from tests.harness.servers import run_sql
from tests.harness.timing import until
from tests.harness.trace_collector import collecting
from tests.rollout import tools
from tests.rollout.game_day_clients import token
from tests.rollout.game_day_site import System
from vaultr.backup.sinks import SINKS
from vaultr.protocol.canary import read_markers

EMAIL = "canary@example.org"
LEAKED = "vault.name"


@pytest.fixture(scope="module")
def collector():
    with collecting() as one:
        yield one


@pytest.fixture(scope="module")
def system(tmp_path_factory, collector):
    """A running system, whose server and worker send traces."""
    folder = tmp_path_factory.mktemp("system")
    folder.chmod(0o755)
    traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "1000"}
    before = os.environ["PATH"]
    with System(folder) as system:
        for name in ("worker", "app"):
            system.site.stop(name)
            system.site.start(name, name, **system.settings(name), **traces)
        yield system
    os.environ["PATH"] = before


@pytest.fixture(scope="module")
def planted(system):
    """A canary that was planted and used; its device and its file."""
    device = Device(system.folder / "canary", system.url)
    device.forks = False  # other threads of this process work meanwhile
    device.environ["VAULTR_CA_FILE"] = str(system.escrow / "tls.crt")
    device.file = device.home / "canary.json"
    words = ("canary", "plant", "--out", str(device.file))
    device.done(*words, "--email", EMAIL, password=None)
    device.done(*words[:2], token(system.inbox, EMAIL), *words[2:], password=None)
    opened = device.run_json("canary", "open", str(device.file), password=None)
    assert opened["machine"] is True
    return device


def backed_up(system):
    """Make a backup in the bucket, and verify it."""
    for service, words in (("backup", ("create",)), ("drill", ("drill",))):
        done = system.flask(service, "backup", *words)
        assert done.returncode == 0, tools.output_of(done)


def places(system, collector):
    """Write emails and traces to files; return the options that name all sinks."""
    emails, traces = system.folder / "emails", system.folder / "traces"
    for folder in (emails, traces):
        folder.mkdir(exist_ok=True)
    for number, message in enumerate(list(system.inbox.messages)):
        (emails / f"{number}.eml").write_bytes(message.as_bytes())
    until(lambda: any(one.name.startswith("POST ") for one in collector.spans))
    time.sleep(2)  # the last spans
    for number, body in enumerate(list(collector.bodies)):
        (traces / f"{number}.bin").write_bytes(body)
    logs = [*sorted((system.folder / "site").glob("*.out")), system.site.postgres.folder / "log"]
    logs += [*sorted((system.folder / "site").glob("edge.*"))]
    words = [word for log in logs for word in ("--logs", str(log))]
    for port in system.metrics.values():
        words += ["--metrics", f"http://127.0.0.1:{port}/metrics"]
    return [*words, "--emails", str(emails), "--traces", str(traces)]


def searched(system, file, words):
    identity = str(system.site.secrets / "backup_identity")
    done = system.flask(
        "app", "canary", "search", str(file), *words, "--complete", "--json",
        BACKUP_IDENTITY_FILE=identity,
    )  # fmt: skip
    assert done.stdout.startswith("{"), tools.output_of(done)
    answer = json.loads(done.stdout)
    return done.returncode, {one["sink"]: one for one in answer["sinks"]}


def test_canary_search_finds_no_marker_in_any_sink(system, collector, planted):
    backed_up(system)

    code, sinks = searched(system, planted.file, places(system, collector))

    assert {name: one["found"] for name, one in sinks.items()} == {name: [] for name in SINKS}
    assert code == 0
    assert all(one["searched"] for one in sinks.values())
    small = {name for name, one in sinks.items() if one["bytes"] < 1000}
    assert small <= {"redis"}
    assert sinks["backup"]["note"].endswith("as stored and opened")


def test_canary_search_finds_planted_leak_in_each_sink(system, collector, planted):
    [leak] = [one for one in read_markers(planted.file.read_text()) if one.name == LEAKED]
    words = places(system, collector)
    url = re.sub("/postgres$", "/vaultr", system.site.postgres.url)
    run_sql(url, f"INSERT INTO facts (name, value) VALUES ('leak', '{leak.value}'::bytea)")
    password = (system.site.secrets / "redis_password").read_text().strip()
    with redis.Redis.from_url(
        system.site.redis.url, username="vaultr", password=password
    ) as client:
        client.set("leak", leak.value)
    for folder, option in (("emails", None), ("traces", None), ("logs", 1), ("metrics", 1)):
        place = system.folder / folder
        place.mkdir(exist_ok=True)
        (place / "leak").write_text(json.dumps({"seen": leak.value}))
        words += [f"--{folder}", str(place / "leak")] if option else []
    backed_up(system)

    code, sinks = searched(system, planted.file, words)

    assert code == 1
    assert {name: one["found"] for name, one in sinks.items()} == {name: [LEAKED] for name in SINKS}


def test_removed_canary_cannot_be_opened(system, planted):
    planted.done("canary", "remove", str(planted.file), password=None)

    assert "nothing to open" in planted.fails(2, "canary", "open", str(planted.file), password=None)
