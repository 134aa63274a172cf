"""A container's environment: a read-only root, no home folder, a user without a name."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.harness import app_fixtures
from tests.harness.gunicorn_server import ROOT, free_port
from tests.harness.metrics_scrape import scraped, total
from vaultr.observability import multiprocess_dir
from vaultr.settings.model import Settings

USER = "54321"
# In separate namespaces: a root that nobody can write to, then an unknown user.
CONFINED = (
    'set -e; mount -t tmpfs tmpfs "$VAULTR_HOME"; mount -o remount,bind,ro /;'
    f' exec unshare --user --map-user={USER} --map-group={USER} "$@"'
)
SERVE = (
    "set -e; id -u; ! touch here 2>/dev/null; {python} -m flask db upgrade;"
    " {python} -m flask ops switch signup off --json >&2;"
    " exec {python} -m gunicorn -c config/gunicorn.py wsgi:app"
)


def namespaces():
    """Return whether this machine allows namespaces."""
    tried = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    try:
        return subprocess.run(tried, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def confined(tmp_path):
    """A server in that environment; without namespaces, only its home folder is missing."""
    home, port, numbers = tmp_path / "home", free_port(), free_port()
    home.mkdir()
    environ = {
        name: value
        for name, value in app_fixtures.environ_for(home, PORT=str(port), LOG_LEVEL="INFO").items()
        if name != "BASE_URL"
    }
    environ |= {"PATH": os.environ["PATH"], "METRICS_PORT": str(numbers)}
    serve = ["sh", "-c", SERVE.format(python=sys.executable)]
    if namespaces():
        unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", CONFINED, "sh"]
        serve = [*unshare, *serve]
    else:
        serve[-1] = serve[-1].replace("! touch here 2>/dev/null;", "")
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            serve, cwd=ROOT, env=environ, stdout=out, stderr=out, start_new_session=True
        )
    yield process, port, numbers, tmp_path / "out"
    process.terminate()
    process.wait(30)


def test_server_needs_only_its_data_folder(confined):
    process, port, numbers, out = confined
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/ready") as answer:
                ready = json.load(answer)
                break
        except OSError:
            assert process.poll() is None, out.read_text()
            assert time.monotonic() < until, out.read_text()
            time.sleep(0.1)

    assert ready == {"ready": True, "degraded": [], "switched_off": ["signup"]}
    assert total(scraped(numbers), "vaultr_build_info") == 1
    if namespaces():
        assert out.read_text().startswith(f"{USER}\n")
        assert f'\\"operator\\":\\"uid-{USER}\\"' in out.read_text()


@pytest.fixture
def no_metrics_folder(monkeypatch):
    """Start without a metrics folder, even if this process has created one."""
    monkeypatch.setattr(multiprocess_dir, "_folder", None)
    monkeypatch.setattr(multiprocess_dir, "_alive", None)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # restored after `keep` has set it


def settings(home):
    environ = app_fixtures.environ_for(home, METRICS_PORT="9464")
    return Settings.from_environ(environ)


@pytest.mark.long
def test_without_shared_memory_metrics_are_under_home(tmp_path, no_metrics_folder, monkeypatch):
    monkeypatch.setattr(multiprocess_dir, "MEMORY", Path("/nowhere"))

    multiprocess_dir.create(settings(tmp_path))

    assert multiprocess_dir.folder().parent == tmp_path
    multiprocess_dir.remove()
    assert not multiprocess_dir.folder().exists()


@pytest.mark.long
def test_unwritable_folders_disable_metrics_without_error(tmp_path, no_metrics_folder, monkeypatch):
    known = settings(tmp_path).model_copy(update={"vaultr_home": Path("/nowhere/else")})
    monkeypatch.setattr(multiprocess_dir, "MEMORY", Path("/nowhere"))

    multiprocess_dir.create(known)

    assert multiprocess_dir.folder() is None
