"""`vaultr run` with --mask or --watch: the command runs as a child, but behaves the same."""

import json
import os
import signal
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.harness.client.child_programs import SIGNAL_PRINTER
from tests.harness.client.devices import PROGRAM, started
from tests.harness.client.terminal import Terminal

SECRET = "correct-horse-7"


@pytest.fixture(scope="module")
def beside(device):
    document = {"overview": {"title": "beside"}, "detail": {"variables": {"PW": SECRET, "N": "1"}}}
    device.done("add", "env_set", "--json", stdin=json.dumps(document))
    return device


def run_words(*options):
    return ("run", "--env-set", "beside", *options, "--")


def at_terminal(device, *words, size=None):
    environ = {**device.environ, "TERM": "xterm", "COLUMNS": "100"}
    return Terminal(*words, environ=environ, size=size)


def test_values_are_masked_in_output_and_reach_environment(beside):
    program = f'echo "pw=$PW n=$N"; printf %s "$PW" >&2; test "$PW" = {SECRET}'
    result = beside.types(*run_words("--mask"), "sh", "-c", program)

    assert (result.returncode, result.stdout, result.stderr) == (0, "pw=******** n=1\n", "********")


@pytest.mark.parametrize("code", [0, 1, 3, 42, 255])
@pytest.mark.parametrize("option", ["--mask", "--watch"])
def test_exit_code_of_command_is_returned(beside, option, code):
    result = beside.types(*run_words(option), "sh", "-c", f"exit {code}")

    assert (result.returncode, result.stderr) == (code, "")


@pytest.mark.parametrize("option", ["--mask", "--watch"])
def test_signal_that_ends_command_ends_vaultr_too(beside, option):
    assert beside.types(*run_words(option), "sh", "-c", "kill -KILL $$").returncode == -9
    assert beside.types(*run_words(option), "sh", "-c", "kill -TERM $$").returncode == -15


@pytest.mark.parametrize("option", ["--mask", "--watch"])
def test_unstartable_command_exits_as_in_a_shell(beside, option, tmp_path):
    assert "No such file" in beside.fails(127, *run_words(option), "no-such-command")
    assert "denied" in beside.fails(126, *run_words(option), str(tmp_path))


@pytest.mark.parametrize("option", ["--mask", "--watch"])
def test_signals_reach_command_exactly_once(beside, option):
    with started(beside, *run_words(option), sys.executable, "-c", SIGNAL_PRINTER) as process:
        assert process.stdout.readline() == "there\n"

        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1):
            process.send_signal(number)
            line = process.stdout.readline()
            assert line == f"{signal.Signals(number).name}\n", process.communicate()
        process.send_signal(signal.SIGTERM)

        rest, errors = process.communicate(timeout=30)
        assert (rest, errors, process.returncode) == ("SIGTERM\n", "", 7)


def test_stdin_is_passed_to_the_command(beside):
    result = beside.types(*run_words("--mask"), "cat", stdin=f"a\n{SECRET}\n")

    assert (result.returncode, result.stdout) == (0, "a\n********\n")


def test_large_output_arrives_complete_and_in_order(beside):
    program = "import sys\nfor n in range(200000): print(n)"

    result = beside.types(*run_words("--mask"), sys.executable, "-c", program)

    assert result.stdout == "".join(f"{n}\n" for n in range(200000))


def test_command_ends_when_its_output_is_closed(beside):
    program = "while echo x; do :; done"
    with started(beside, *run_words("--mask"), "sh", "-c", program) as process:
        assert process.stdout.readline() == "x\n"

        process.stdout.close()

        assert process.wait(30) != 0


def test_command_on_terminal_gets_terminal_of_same_size(beside):
    program = 'test -t 0 && test -t 1 && test -t 2 && stty size && echo "pw: $PW"'
    terminal = at_terminal(beside, *run_words("--mask"), "sh", "-c", program, size=(33, 77))

    assert terminal.ends() == 0
    assert "33 77" in terminal.shown
    assert "pw: ********" in terminal.shown
    assert SECRET not in terminal.shown


def test_terminal_keys_resize_and_ctrl_c_reach_command(beside):
    terminal = at_terminal(beside, *run_words("--mask"), sys.executable, "-c", SIGNAL_PRINTER)
    terminal.waits_for("there")

    termios.tcsetwinsize(terminal._terminal, (10, 20))
    terminal.waits_for("SIGWINCH")
    terminal.presses_ctrl_c("")
    terminal.waits_for("SIGINT")
    os.kill(terminal.child, signal.SIGINT)
    terminal.waits_for("SIGINT")
    os.kill(terminal.child, signal.SIGTERM)

    assert terminal.ends() == 7
    assert terminal.shown.count("SIGINT") == 2


def test_typed_input_reaches_command_and_echo_is_masked(beside):
    program = "stty -echo; printf 'name? '; read -r name; echo \"hello $name\""
    terminal = at_terminal(beside, *run_words("--mask"), "sh", "-c", program)

    terminal.answers("name? ", SECRET)

    assert terminal.ends() == 0
    assert "hello ********" in terminal.shown
    assert SECRET not in terminal.shown


def test_terminal_is_restored_afterwards(beside):
    """A shell on the same terminal checks its settings before and after."""
    words = " ".join(run_words("--mask"))
    run = " ".join(f"'{word}'" for word in PROGRAM)
    script = f"stty -a > before; {run} {words} sh -c 'stty raw'; stty -a > after"
    home = beside.home / "given-back"
    home.mkdir()

    child, terminal = os.forkpty()
    if child == 0:
        os.chdir(home)
        os.execve("/bin/sh", ["sh", "-c", script.replace("\n", " ")], beside.environ)
    _, status = os.waitpid(child, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 0
    assert (home / "before").read_text() == (home / "after").read_text()


def test_ctrl_c_of_the_terminal_reaches_a_watched_command_once(beside):
    terminal = at_terminal(beside, *run_words("--watch"), sys.executable, "-c", SIGNAL_PRINTER)
    terminal.waits_for("there")

    terminal.presses_ctrl_c("")
    terminal.waits_for("SIGINT")
    os.kill(terminal.child, signal.SIGTERM)

    assert terminal.ends() == 7
    assert terminal.shown.count("SIGINT") == 1


def test_command_restarts_only_when_its_values_change(beside):
    program = "trap 'echo ended; exit 0' TERM; echo \"n is $N\"; while :; do sleep 0.1; done"
    change = {"detail": {"variables": {"PW": SECRET, "N": "2"}}}
    with started(beside, *run_words("--watch", "--every", "0.2"), "sh", "-c", program) as process:
        assert process.stdout.readline() == "n is 1\n"

        beside.done("add", "note", "--title", "beside it", stdin="a write that changes no value")
        beside.done("edit", "beside", "--json", stdin=json.dumps(change))
        output = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)

        rest, errors = process.communicate(timeout=30)
    assert (output, rest, errors) == (["ended\n", "n is 2\n"], "ended\n", "")
    assert process.returncode == 0


def test_command_that_does_not_end_is_killed_to_restart(beside):
    hurried = (
        "import vaultr.client.run.supervisor as s, sys; s.TERMINATION_SECONDS = 0.3;"
        "from vaultr.client.cli import main; sys.exit(main())"
    )
    stubborn = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    stubborn += "print(os.environ['N'], flush=True); time.sleep(60)"
    words = [*run_words("--watch", "--every", "0.2"), sys.executable, "-c", stubborn]
    change = {"detail": {"variables": {"PW": SECRET, "N": "3"}}}
    with started(beside, *words, program=(sys.executable, "-c", hurried)) as process:
        before = process.stdout.readline()
        beside.done("edit", "beside", "--json", stdin=json.dumps(change))

        assert before != "3\n"
        assert process.stdout.readline() == "3\n"


def test_manual_lock_stops_watching_but_not_command(beside):
    """The watcher process holds a key, which a lock must also remove."""
    words = [*run_words("--watch", "--every", "60"), "sh", "-c", "echo there; exec sleep 60"]
    with started(beside, *words) as process:
        assert process.stdout.readline() == "there\n"
        beside.done("lock", password=None)
        beside.done("unlock")

        reported = [process.stderr.readline() for _ in range(2)]
        alive = process.poll() is None

    assert reported == [
        "vaultr: This device was locked.\n",
        "vaultr: Stopped watching for changes.\n",
    ]
    assert alive


def test_values_are_only_in_memory_of_one_command(beside, tmp_path):
    """Not in arguments or environments of other processes, and in no file of the user."""
    unique = "only-here-" + os.urandom(8).hex()
    document = {"overview": {"title": "unique"}, "detail": {"variables": {"PW": unique}}}
    beside.done("add", "env_set", "--json", stdin=json.dumps(document))
    files_before = set(Path("/tmp").iterdir())
    words = ("run", "--env-set", "unique", "--mask", "--watch", "--")
    with started(beside, *words, "sh", "-c", "echo there; exec sleep 60") as process:
        assert process.stdout.readline() == "there\n"
        until = time.monotonic() + 20
        while (holders := _holders(unique)) != ["sleep"] and time.monotonic() < until:
            time.sleep(0.05)  # the shell becomes it

        assert holders == ["sleep"]
        there = [*(set(Path("/tmp").iterdir()) - files_before), *beside.home.rglob("*")]
        assert not [each for each in there if unique.encode() in _content(each)]


def _content(path):
    """Read a file; a missing one, or one that another test removes, counts as empty."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _holders(text):
    """Return the processes whose arguments or environment contain the text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                if text.encode() in (folder / name).read_bytes():
                    found.append((folder / "comm").read_text().strip())
            except OSError:
                continue
    return found


def test_conflicting_options_of_run_are_rejected(beside):
    beside.fails(2, *run_words("--mask", "--json"), "true")
    beside.fails(2, *run_words("--watch", "--offline"), "true")
    beside.fails(2, *run_words("--watch", "--every", "0"), "true")


def test_plain_file_values_are_visible_and_references_masked(beside, tmp_path):
    (file := tmp_path / ".env").write_text("MODE=production\nPASS=vaultr://Personal/beside/PW\n")
    words = ("run", "--env-file", str(file), "--mask", "--", "sh", "-c", 'echo "$MODE $PASS"')

    assert beside.done(*words) == "production ********\n"
