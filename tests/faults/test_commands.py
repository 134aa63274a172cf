"""Commands that work even if the server does not start, and the duration of its start."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.app_fixtures import KEYS
from vaultr.settings.loader import generate_keys
from vaultr.settings.model import Settings

FIXED_PACKAGES = (
    *("flask", "flask_sqlalchemy", "flask_migrate", "flask_limiter", "flask_talisman"),
    *("flask_mail", "flask_jwt_extended", "psycopg2", "redis", "gunicorn", "argon2"),
)
RATIO = 1.4
PRODUCTION = {
    **KEYS,
    "VAULTR_ENV": "production",
    "DATABASE_URL": "postgresql://u:hunter2@nowhere.invalid/db",
    "REDIS_URL": "redis://:hunter2@nowhere.invalid",
    "BASE_URL": "https://vault.example.org",
    "SMTP_HOST": "mail.example.org",
}


WITHOUT_WARNINGS = {
    "DATABASE_URL": f"{PRODUCTION['DATABASE_URL']}?sslmode=verify-full",
    "REDIS_URL": "rediss://:hunter2@nowhere.invalid",
    "TRUSTED_PROXIES": "1",
}


@pytest.fixture
def flask(tmp_path):
    """Run ``flask …`` in an empty folder, where no app is found."""

    def run(*arguments, **environ):
        return subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environ},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.long
def test_keys_are_printed_as_shell_lines(flask):
    done = flask("keys", "generate")

    pairs = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert pairs.keys() == generate_keys("x").keys()
    assert all(text[0] == text[-1] == "'" for text in pairs.values())
    Settings.from_environ({**PRODUCTION, **{name: text[1:-1] for name, text in pairs.items()}})


@pytest.mark.long
def test_two_generated_key_sets_share_no_key(flask):
    one, two = (json.loads(flask("keys", "generate", "--json").stdout) for _ in range(2))

    assert len({*one.values(), *two.values()}) == 12


def test_key_files_are_private_and_never_overwritten(flask, tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "pepper").write_text("mine")

    done = flask("keys", "generate", "--dir", str(folder))

    assert done.returncode == 0
    assert "unchanged: pepper" in done.stdout
    assert (folder / "pepper").read_text() == "mine"
    names = {name.lower() for name in generate_keys("x")}
    assert {path.name for path in folder.iterdir()} == names
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.name != "pepper"}
    assert modes == {0o600}
    drawn = {path.name: path.read_text() for path in folder.iterdir()}
    assert not any(text.strip() in done.stdout for text in drawn.values() if text != "mine")

    again = flask("keys", "generate", "--dir", str(folder))

    assert "written" not in again.stdout
    assert {path.name: path.read_text() for path in folder.iterdir()} == drawn


@pytest.mark.long
def test_check_with_valid_settings_exits_0(flask, tmp_path):
    good = flask("check", **{**PRODUCTION, **WITHOUT_WARNINGS})
    tried = flask("check", "--json", VAULTR_HOME=str(tmp_path / "home"))

    assert (good.returncode, good.stdout) == (0, "The settings are valid for production.\n")
    assert (tried.returncode, json.loads(tried.stdout)) == (
        0,
        {"ok": True, "problems": [], "warnings": []},
    )


def test_check_exits_1_and_lists_problems_without_values(flask):
    wrong = {**PRODUCTION, "PORT": "hunter2", "BASE_URL": "http://hunter2"}
    del wrong["PEPPER"]

    done = flask("check", "--json", **wrong)

    problems = json.loads(done.stdout)["problems"]
    assert done.returncode == 1
    assert [one.partition(":")[0] for one in problems] == ["BASE_URL", "PEPPER", "PORT"]
    assert "hunter2" not in done.stdout + done.stderr
    assert "Fix these settings:" in flask("check", **wrong).stdout


@pytest.mark.long
def test_settings_list_describes_every_setting_without_values(flask):
    done = flask("settings", "--json", **PRODUCTION)

    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 0
    assert rows.keys() == {name.upper() for name in Settings.model_fields}
    assert rows["LIMIT_LOGIN_ACCOUNT"]["default"] == "5/900"
    assert {name for name, row in rows.items() if row["secret"]} == {
        *(*KEYS, "DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL", "SMTP_PASS"),
    }
    assert {name for name, row in rows.items() if row["required_in_production"]} == (
        PRODUCTION.keys() - {"VAULTR_ENV", "CHECKPOINT_KEY"}
    )
    assert "hunter2" not in done.stdout
    assert "LIMIT_LOGIN_ACCOUNT" in flask("settings").stdout


@pytest.mark.long
def test_failed_start_names_the_invalid_setting(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "flask", "db", "upgrade"],
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"], "VAULTR_HOME": str(tmp_path), "PORT": "hunter2"},
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "PORT: " in done.stderr
    assert "hunter2" not in done.stderr


def seconds_to_import(code):
    """Measure CPU time, which other processes disturb less than wall-clock time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.long
def test_app_import_takes_little_longer_than_its_dependencies():
    """Best of interleaved pairs; more pairs only if the first few are inconclusive."""
    packages = f"import {', '.join(FIXED_PACKAGES)}"
    alone, whole = [], []

    for pair in range(25):
        alone.append(seconds_to_import(packages))
        whole.append(seconds_to_import("import vaultr.app"))
        if pair >= 2 and min(whole) <= RATIO * min(alone):
            break

    assert min(whole) <= RATIO * min(alone)
