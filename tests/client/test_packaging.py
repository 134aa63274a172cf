"""`pip install vaultr` is the client: few packages, and none of the server's."""

import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.harness.client.local_server import is_ready
from tests.harness.servers import free_port
from tests.harness.timing import until
from tests.harness.wheels import build_wheel

ROOT = Path(__file__).parents[2]
PACKAGES_MOST = 17  # one more since zxcvbn, which has no dependencies (ADR 29)
OF_THE_SERVER = {"flask", "sqlalchemy", "werkzeug", "pydantic", "redis", "gunicorn", "alembic"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("sources"))


def test_client_has_few_dependencies_and_none_of_server():
    needed = _closure("vaultr")

    assert len(needed) <= PACKAGES_MOST, sorted(needed)
    assert not needed & OF_THE_SERVER


def _closure(name):
    """Return all packages that a package depends on, according to the installed metadata."""
    found, left = set(), [name]
    while left:
        each = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if each in found:
            continue
        found.add(each)
        for text in importlib.metadata.requires(each) or ():
            requirement = Requirement(text)
            environment = {**default_environment(), "extra": ""}
            if requirement.marker is None or requirement.marker.evaluate(environment):
                left.append(requirement.name)
    return found


def test_wheel_contains_every_module_and_data_file(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    sources = ROOT / "vaultr"
    wanted = {
        each.relative_to(ROOT).as_posix()
        for each in sources.rglob("*")
        if each.is_file() and "__pycache__" not in each.parts and not each.name.startswith(".")
    }

    assert wanted - inside == set()
    assert not [name for name in inside if name.startswith(("tests/", "bench/", "migrations/"))]


def test_wheel_migrates_and_serves_from_an_empty_folder(wheel, tmp_path):
    """The unpacked wheel precedes the checkout, which is installed here for development."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "wheel")
    (empty := tmp_path / "empty").mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "wheel"), "PORT": str(port),
        "VAULTR_HOME": str(tmp_path / "home"), "DRAIN_SECONDS": "0",
    }  # fmt: skip
    flask = [sys.executable, "-m", "flask", "--app", "vaultr.wsgi"]
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:vaultr.gunicorn_config"]

    subprocess.run([*flask, "db", "upgrade"], cwd=empty, env=environ, check=True)

    with subprocess.Popen([*gunicorn, "vaultr.wsgi:app"], cwd=empty, env=environ) as server:
        try:
            until(lambda: is_ready(url, timeout=5) or server.poll() is not None)
            assert is_ready(url, timeout=5)
        finally:
            server.terminate()
    assert list(empty.iterdir()) == []


@pytest.mark.long
def test_plain_install_has_a_working_client(wheel, tmp_path):
    """With pip and an index, like any user."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    before = _installed(python)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]

    subprocess.run([*pip, wheel], check=True, timeout=600)

    come = _installed(python) - before
    assert len(come) <= PACKAGES_MOST, sorted(come)
    assert not come & OF_THE_SERVER
    command = tmp_path / "venv" / "bin" / "vaultr"
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("vaultr, version")
    drawn = subprocess.run([command, "generate", "--words", "6"], capture_output=True, text=True)
    assert len(drawn.stdout.strip().split("-")) == 6
    sdk = "from vaultr import Vaultr; Vaultr('https://vault.example', agent=False).close()"
    subprocess.run([python, "-c", sdk], check=True, cwd=tmp_path)


def _installed(python):
    program = "import importlib.metadata as m; print(*{d.name for d in m.distributions()})"
    result = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in result.stdout.split()}
