"""The image, built and started for real (where buildah and podman are, and the base can be had)."""

import json
import time
import urllib.request

import pytest

from tests.harness import servers
from tests.rollout import containers, tools


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    name = containers.build(tmp_path_factory.mktemp("image"))
    yield name
    containers.remove(name)


@pytest.fixture
def trying():
    """An environment in which nothing else is needed, on free ports."""
    ports = {"PORT": str(servers.free_port()), "METRICS_PORT": str(servers.free_port())}
    return {"VAULTR_ENV": "development", **ports}


def test_image_has_labels_and_runs_unprivileged(image):
    config = containers.inspected(image)["Config"]

    assert config["User"] == "10001:10001"
    assert config["Cmd"] == ["gunicorn", "-c", "config/gunicorn.py", "wsgi:app"]
    assert not config.get("Entrypoint")
    assert {"3000/tcp", "9464/tcp"} == {*config["ExposedPorts"]}
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == "0.0.0-test"
    assert labels["org.opencontainers.image.revision"] == "abc1234"


def test_image_adds_at_most_250_megabytes_to_its_base(image):
    sizes = [containers.inspected(one)["Size"] for one in (image, containers.base())]

    assert sizes[0] - sizes[1] < 250_000_000


def test_production_without_settings_stops_and_names_them(image):
    done = containers.once(image, environ={"VAULTR_ENV": "production"})

    assert done.returncode != 0
    for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "SMTP_HOST"):
        assert name in done.stderr + done.stdout


def test_server_runs_within_pod_limits_and_exits_cleanly(image, trying):
    with containers.Container(image, environ=trying) as container:
        container.healthy()
        url = f"http://127.0.0.1:{trying['PORT']}/api/health"
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert json.load(answer) == {"status": "healthy"}
        first = container.run("cat", "/proc/1/cmdline").stdout
        began = time.monotonic()

        assert container.stop() == (0, False)
        assert time.monotonic() - began < 35

    assert "sh\0" not in first


def test_the_same_image_migrates_works_and_takes_commands(image, trying):
    migrated = containers.once(image, "flask", "db", "upgrade", environ=trying)
    requested = containers.once(image, "flask", "check", environ=trying)

    assert migrated.returncode == 0, tools.output_of(migrated)
    assert requested.returncode == 0, tools.output_of(requested)


def test_a_new_database_makes_a_migrated_container_ready(image, trying):
    """Code and migrations find each other, though the package is installed elsewhere."""
    with containers.Container(image, environ=trying) as container:
        container.healthy()
        done = container.run("flask", "db", "upgrade")
        assert done.returncode == 0, tools.output_of(done)
        url = f"http://127.0.0.1:{trying['PORT']}/api/ready"
        time.sleep(1.5)  # a finding is kept for a second
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert json.load(answer)["ready"] is True


def test_server_can_change_nothing_in_the_image(image, trying):
    with containers.Container(image, environ=trying) as container:
        places = ("/app", "/opt/vaultr", "/")
        script = f"import os, sys; sys.exit(any(os.access(p, os.W_OK) for p in {places}))"
        assert container.run("python", "-c", script).returncode == 0
