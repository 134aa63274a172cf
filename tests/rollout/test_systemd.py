"""deploy/systemd: units that systemd accepts, with existing secrets and commands of the server."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from tests.harness import servers
from tests.rollout import settings_of_chart, tools
from tests.rollout.compose_processes import PROGRAMS, Site

FOLDER = tools.ROOT / "deploy" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
INSTALLED = "/opt/vaultr/venv/bin"
EXPOSED_AT_MOST = 2.0  # of 10, the score of systemd-analyze for a unit's exposure


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("systemd")
    folder.chmod(0o755)
    with Site(folder) as site:
        yield site


def field(unit, name):
    return re.findall(rf"^{name}=(.*)$", (FOLDER / unit).read_text(), re.M)


def test_systemd_accepts_every_unit(tmp_path):
    for path in FOLDER.glob("vaultr*.[st]*"):
        text = path.read_text().replace(INSTALLED, str(Path(sys.executable).parent))
        (tmp_path / path.name).write_text(text)
    units = sorted(str(path) for path in tmp_path.iterdir())

    done = tools.run("systemd-analyze", "verify", *units)

    ours = [line for line in done.stderr.splitlines() if "vaultr" in line]
    assert ours == [], tools.output_of(done)
    assert len(units) == 6


def test_systemd_reports_misspelled_option(tmp_path):
    unit = tmp_path / "vaultr.service"
    unit.write_text((FOLDER / "vaultr.service").read_text().replace("PrivateTmp=", "PrivatTmp="))

    done = tools.run("systemd-analyze", "verify", str(unit))

    assert "PrivatTmp" in done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_unit_exposure_score_is_low(unit):
    done = tools.run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", str(FOLDER / unit)
    )

    exposed = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(exposed[1]) <= EXPOSED_AT_MOST


@pytest.mark.parametrize("unit", UNITS)
def test_units_load_exactly_the_secrets_they_need(unit):
    needed = {*settings_of_chart.secret_names()} - {"SMTP_PASS", "CHECKPOINT_KEY"}
    needed |= {"CHECKPOINT_KEY"} if unit == "vaultr-sequencer.service" else set()
    loaded = dict(one.split(":") for one in field(unit, "LoadCredential"))
    named = dict(one.split("=") for one in field(unit, "Environment") if "=%d/" in one)

    assert {name.removesuffix("_FILE") for name in named} == needed
    assert {path.removeprefix("%d/") for path in named.values()} == {*loaded}
    roles = {"vaultr-migrate.service": "migration_", "vaultr-sequencer.service": "sequencer_"}
    assert loaded["database_url"].endswith(f"/{roles.get(unit, '')}database_url")


@pytest.mark.parametrize(
    ("unit", "command"),
    [
        ("vaultr.service", "flask check"),
        ("vaultr-migrate.service", "flask db upgrade"),
        ("vaultr-daily.service", "flask ops cleanup"),
    ],
)
def test_unit_commands_succeed_with_unit_environment(site, unit, command):
    starts = field(unit, "ExecStartPre") + field(unit, "ExecStart")
    assert f"{INSTALLED}/{command}" in starts

    done = subprocess.run(
        [*PROGRAMS[command.split()[0]], *shlex.split(command)[1:]],
        cwd=tools.ROOT, env=environ(site, unit), capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, tools.output_of(done)


def environ(site, unit):
    """Return the environment that systemd would set: the example file, and the unit's variables."""
    lines = (FOLDER / "vaultr.env.example").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    files = dict(one.split(":") for one in field(unit, "LoadCredential"))
    for one in field(unit, "Environment"):
        name, value = one.split("=", 1)
        if value.startswith("%d/"):
            value = str(site.secrets / Path(files[value.removeprefix("%d/")]).name)
        found[name] = value.replace("%S", str(site.folder))
    return {"PATH": str(Path(sys.executable).parent), **found}


def test_documented_host_setup_creates_working_database_urls(tmp_path):
    page = (tools.ROOT / "docs" / "deployment.md").read_text()
    blocks = re.findall(r"(?:^    .*\n)+", page.partition("## One machine without")[2], re.M)
    [script] = [one for one in blocks if "/run/vaultr-setup" in one]
    programs = Path(sys.executable).parent
    with servers.postgres(own=True) as server:
        url = servers.fresh_database(server.url)
        for typed, here in (
            ("/opt/vaultr/venv/bin", str(programs)),
            ("/opt/vaultr/app", str(tools.ROOT)),
            ("/etc/", f"{tmp_path}/etc/"),
            ("/run/vaultr-setup", str(tmp_path / "setup")),
            ("su postgres -c 'createdb vaultr'", "true"),
            ("su postgres -c", "sh -c"),
            (" -o postgres", ""),
            ("chown redis:redis", "test -s"),
            ("systemctl restart redis-server", "true"),
            ("-d vaultr", f'--dbname "{url}"'),
            ("@127.0.0.1/vaultr", f"@{url.partition('@')[2]}"),
        ):
            assert typed in script
            script = script.replace(typed, here)
        (tmp_path / "etc" / "redis").mkdir(parents=True)
        environ = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        done = subprocess.run(
            ["sh", "-euc", script], env=environ, cwd=tmp_path, capture_output=True, text=True
        )

        assert done.returncode == 0, tools.output_of(done)
        for name, role in (
            ("database_url", "vaultr_app"),
            ("migration_database_url", "vaultr_owner"),
            ("sequencer_database_url", "vaultr_sequencer"),
        ):
            written = (tmp_path / "etc" / "vaultr" / "secrets" / name).read_text()
            with contextlib.closing(psycopg2.connect(written)) as connection:
                assert connection.info.user == role
