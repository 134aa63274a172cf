"""`deploy/postgres/pitr-drill`: point-in-time recovery, and how it fails."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.harness import server_programs, servers

SCRIPT = Path(__file__).parents[2] / "deploy" / "postgres" / "pitr-drill"

pytestmark = pytest.mark.long


@pytest.fixture
def run():
    """``run(path)``: run the script with the PostgreSQL of the tests."""
    with servers.scratch("vaultr-pitr-") as folder:
        programs = server_programs.postgres(folder)
        environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        yield lambda path: subprocess.run([path], env=environ, capture_output=True, text=True)


def test_only_the_row_before_the_target_is_recovered(run):
    done = run(SCRIPT)

    assert done.returncode == 0, done.stderr
    assert 'found "one second before" after' in done.stdout


def test_drill_without_its_target_fails(run, tmp_path):
    text = SCRIPT.read_text()
    other = tmp_path / "pitr-drill"
    other.write_text(text.replace("recovery_target_time = '$target'\n", ""))
    other.chmod(0o755)

    done = run(other)

    assert done.returncode == 1, done.stdout
    assert "FAILED" in done.stderr


def test_drill_whose_server_stops_fails_instead_of_waiting(run, tmp_path):
    text = SCRIPT.read_text()
    other = tmp_path / "pitr-drill"
    # Recovery pauses at its target, so the server runs until it is stopped.
    paused = text.replace("recovery_target_action = 'promote'", "recovery_target_action = 'pause'")
    stopping = 'run "$bin/pg_ctl" -D "$work/restored" -m immediate stop > /dev/null\nuntil ['
    other.write_text(paused.replace("until [", stopping))
    other.chmod(0o755)

    done = run(other)

    assert done.returncode == 1, done.stdout
    assert "PostgreSQL stopped during the recovery" in done.stderr
