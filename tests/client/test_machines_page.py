"""Every command of docs/machines.md works as described, with a real server."""

import json
import os
import re
import shlex
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.harness.client.devices import PROGRAM, Device, started
from tests.harness.servers import free_port
from tests.harness.timing import until
from tests.harness.tls_sites import Authority

PAGE = Path(__file__).parents[2] / "docs" / "machines.md"
COMMANDS = re.findall(r"^(you|job|watch|gateway)\$ vaultr (.+)$", PAGE.read_text(), re.MULTILINE)
NEW_PORT = json.dumps({"detail": {"variables": {"PORT": "81"}}})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("DB_PASSWORD=hunter2\nPORT=80\n")
    (tmp_path / "deploy.sh").write_text('echo "deployed with $DB_PASSWORD"\n')
    (tmp_path / "config.tmpl").write_text("password: {{ vaultr://prod/web/DB_PASSWORD }}\n")
    assert Authority().context(tmp_path, "tls") is not None
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def you(site, tmp_path_factory):
    """A new, empty account on an unlocked device."""
    device = Device(tmp_path_factory.mktemp("you") / "home", site.url, email="mia@example.org")
    device.environ["VAULTR_AGENT"] = "on"
    device.run_json("signup", "--email", device.email)
    device.done("verify", site.token(of=device.email), password=None)
    device.done("login")
    device.done("unlock")
    yield device
    device.types("lock", password=None)


def test_machines_page_commands_work_in_order(you, site, folder):
    job = Device(folder / "job", site.url)
    job.environ["VAULTR_TOKEN_FILE"] = str(folder / "ci.token")
    shown = {}

    for who, line in COMMANDS:
        words = shlex.split(line)
        if who == "gateway" and words[1] != "token":
            _check_gateway(site, words, folder)
        elif who == "watch":
            with started(job, *words):
                until(lambda: (folder / "seen.yaml").exists())
        else:
            actor, password = (you, True) if who == "you" else (job, None)
            stdin = NEW_PORT if words[-1] == "--json" else ""
            result = actor.types(*words, password=password, stdin=stdin)
            assert result.returncode == 0, (line, result)
            shown[line] = result.stdout

    assert shown["run --env-set web -- sh deploy.sh"] == "deployed with hunter2\n"
    assert shown["read vaultr://prod/web/DB_PASSWORD"] == "hunter2\n"
    assert (folder / "config.yaml").read_text() == "password: hunter2\n"
    assert (folder / "seen.yaml").read_text() == "password: hunter2\n"
    assert json.loads(you.done("export", "web", "--format", "json"))["PORT"] == "81"
    assert [each["name"] for each in you.run_json("machines", "list")] == ["cluster"]


def _check_gateway(site, words, folder):
    port = str(free_port())
    words = [word.replace("8443", port) for word in words]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "VAULTR_URL": site.url}
    environ["VAULTR_TOKEN_FILE"] = str(folder / "cluster.token")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    caller = (folder / "caller.token").read_text().strip()

    def get(path):
        headers = {"Authorization": f"Bearer {caller}"}
        request = urllib.request.Request(f"https://127.0.0.1:{port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, context=trusting, timeout=30) as answer:
                return answer.read().decode()
        except OSError:
            return None

    with subprocess.Popen([*PROGRAM, *words], env=environ) as process:
        try:
            until(lambda: get("/readyz"))
            assert json.loads(get("/v1/secret?key=prod/web&property=DB_PASSWORD")) == {
                "value": "hunter2"
            }
        finally:
            process.terminate()
