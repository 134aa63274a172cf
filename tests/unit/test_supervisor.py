"""A command with its supervisor, with Linux signal details and without them."""

import signal
import subprocess
import sys

import pytest

from tests.harness.client.child_programs import SIGNAL_PRINTER

PROGRAM = """
import os, sys
from types import SimpleNamespace
from vaultr.client.run import child_signals as signals, supervisor as supervising
if sys.argv[1] != "linux":
    signals.sys = SimpleNamespace(platform=sys.argv[1])
given = supervising.ChildEnvironment(dict(os.environb), ("sesame-street",))
supervisor = supervising.Supervisor(sys.argv[3:], mask=sys.argv[2] == "masked")
sys.exit(supervising.exit_like(supervisor.run(given)))
"""
SYSTEMS = ["linux", "darwin"]


def start(system, masked, *command, program=PROGRAM):
    return subprocess.Popen(
        [sys.executable, "-c", program, system, "masked" if masked else "plain", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("masked", [True, False])
def test_signals_reach_the_command(system, masked):
    with start(system, masked, sys.executable, "-c", SIGNAL_PRINTER) as process:
        assert process.stdout.readline() == "there\n"
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1):
            process.send_signal(number)
            assert process.stdout.readline() == f"{signal.Signals(number).name}\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30) == ("SIGTERM\n", "")

    assert process.returncode == 7


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(("script", "code"), [("exit 9", 9), ("kill -KILL $$", -9)])
def test_exit_code_of_command_is_returned(system, script, code):
    for masked in (True, False):
        with start(system, masked, "sh", "-c", script) as process:
            assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == code


@pytest.mark.parametrize("system", SYSTEMS)
def test_secret_in_output_is_masked(system):
    with start(
        system, True, "sh", "-c", "printf 'open ses'; sleep 0.2; echo ame-street"
    ) as process:
        assert process.communicate(timeout=30) == ("open ********\n", "")


@pytest.mark.parametrize("system", SYSTEMS)
def test_output_of_child_processes_is_awaited_for_limited_time(system):
    script = "(sleep 0.2; echo late) & (sleep 30; echo later) & echo now"
    # Longer than usual, because a busy machine may take its time to start the child.
    patient = PROGRAM.replace("given =", "supervising._FINAL_OUTPUT_SECONDS = 3; given =")
    with start(system, True, "sh", "-c", script, program=patient) as process:
        assert process.communicate(timeout=60) == ("now\nlate\n", "")


def test_supervisor_signal_handlers_are_restored():
    program = (
        "import os, signal, sys; from vaultr.client.run import supervisor as s;"
        "given = s.ChildEnvironment(dict(os.environb));"
        "s.Supervisor(['true']).run(given); s.Supervisor(['true']).run(given);"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, []) or 'none blocked');"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (-15, "none blocked\n", "")
