import ast
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from vaultr.client.errors import UsageError
from vaultr.client.run.execute import build_environment, merge_sets

# What `vaultr run` does once it has its variables, as a separate process.
BECOME = """
import json, os, sys
from vaultr.client.run.execute import build_environment, replace_process
from vaultr.client.errors import VaultrError
variables, command = json.loads(sys.stdin.readline()), sys.argv[1:]
try:
    replace_process(command, build_environment(variables, os.environb))
except VaultrError as error:
    print(error, file=sys.stderr)
    raise SystemExit(error.exit_code)
"""


def start(*command, variables=None, **more):
    reading, writing = os.pipe()
    os.write(writing, json.dumps(variables or {}).encode() + b"\n")
    os.close(writing)
    process = subprocess.Popen(
        [sys.executable, "-c", BECOME, *command],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    )
    os.close(reading)
    return process


def run(*command, **more):
    process = start(*command, **more)
    answer, errors = process.communicate(timeout=20)
    return process.returncode, answer, errors.decode()


def python(text):
    return (sys.executable, "-c", text)


def test_sets_are_merged_in_order():
    assert list(merge_sets([("a", {"Z": "1", "B": "2"}), ("b", {"A": "3"})]).items()) == [
        ("Z", "1"),
        ("B", "2"),
        ("A", "3"),
    ]


def test_name_in_two_sets_fails_naming_both_without_values():
    sets = [("a", {"X": "hunter2"}), ("b", {"X": "hunter2", "Y": "1"}), ("c", {"Y": "2"})]

    with pytest.raises(UsageError) as rejected:
        merge_sets(sets)

    assert "X (in a and b), Y (in b and c)" in str(rejected.value)
    assert "hunter2" not in str(rejected.value)


def test_later_set_overrides_earlier_with_option():
    assert merge_sets([("a", {"X": "1"}), ("b", {"X": "2"})], last_wins=True) == {"X": "2"}


def test_environment_set_overrides_the_environment():
    assert build_environment({"A": "ü"}, {b"A": b"old", b"B": b"\xff"}) == {
        b"A": "ü".encode(),
        b"B": b"\xff",
    }


def test_secrets_of_this_client_do_not_reach_the_child():
    inherited = {
        b"VAULTR_PASSWORD": b"x",
        b"VAULTR_TOKEN": b"x",
        b"VAULTR_SECRET_KEY": b"x",
        b"VAULTR_URL": b"https://v.example",
        b"HOME": b"/h",
    }

    stored = build_environment({"VAULTR_OWN": "asked for"}, inherited)

    assert sorted(stored) == [b"HOME", b"VAULTR_OWN", b"VAULTR_URL"]


def test_values_are_passed_unchanged_in_every_locale():
    values = {"A": "ü 🔐\n'\"$x", "B": "", "_c": "x" * 50_000}
    show = "import os, sys; sys.stdout.buffer.write(repr(os.environb.copy()).encode())"

    code, answer, errors = run(
        *python(show), variables=values, env={**os.environ, "LC_ALL": "en_US.ISO-8859-1"}
    )

    assert (code, errors) == (0, "")
    there = ast.literal_eval(answer.decode())
    assert {name: there[name.encode()].decode() for name in values} == values


@pytest.mark.parametrize("wanted", [0, 1, 5, 42, 255])
def test_exit_code_is_that_of_command(wanted):
    assert run("sh", "-c", f"exit {wanted}")[0] == wanted


def test_missing_command_exits_127():
    code, _, errors = run("no-such-command-of-vaultr")

    assert code == 127
    assert errors.strip() == "no-such-command-of-vaultr: No such file or directory"


def test_empty_command_exits_127():
    assert run("")[0] == 127


def test_file_without_execute_permission_exits_126(tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")

    assert run(str(script))[0] == 126
    assert run(str(tmp_path))[0] == 126


def test_file_that_is_not_a_program_exits_126(tmp_path):
    script = tmp_path / "script"
    script.write_bytes(b"\x00\x01 no program")
    script.chmod(0o755)

    assert run(str(script))[0] == 126


def test_command_is_found_on_path_of_the_set(tmp_path):
    script = tmp_path / "only-here"
    script.write_text("#!/bin/sh\nexit 9\n")
    script.chmod(0o755)

    assert run("only-here", variables={"PATH": f"{tmp_path}:/usr/bin:/bin"})[0] == 9


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "SIGUSR1"])
def test_signal_reaches_replaced_process(name):
    process = start("sleep", "30")
    _wait_until(lambda: _command_of(process.pid) == "sleep")

    process.send_signal(getattr(signal, name))

    process.communicate(timeout=20)
    assert process.returncode == -getattr(signal, name)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGWINCH"])
def test_command_with_signal_handler_chooses_its_exit_code(name):
    handler = (
        f"import signal, sys, time\n"
        f"signal.signal(signal.{name}, lambda *_: sys.exit(33))\n"
        f"print('ready', flush=True)\n"
        f"time.sleep(30)"
    )
    process = start(*python(handler))
    assert process.stdout.readline() == b"ready\n"

    process.send_signal(getattr(signal, name))

    process.communicate(timeout=20)
    assert process.returncode == 33


def test_signals_ignored_by_python_are_default_in_command():
    show = "grep SigIgn /proc/self/status"

    _, here, _ = run("sh", "-c", show, restore_signals=True)

    ignored = int(here.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))
    assert not ignored & (1 << (signal.SIGXFSZ - 1))


def test_variables_are_only_in_one_process_environment():
    secret = "only-in-the-child-8f2b"
    process = start("sleep", "30", variables={"A": secret})
    _wait_until(lambda: _command_of(process.pid) == "sleep")

    holders = [pid for pid in _pids() if secret.encode() in _read(pid, "environ")]
    arguments = [pid for pid in _pids() if secret.encode() in _read(pid, "cmdline")]

    process.kill()
    process.communicate(timeout=20)
    assert holders == [process.pid]
    assert arguments == []


def test_only_standard_descriptors_are_inherited():
    _, answer, _ = run("ls", "/proc/self/fd")

    assert [number for number in answer.split() if int(number) > 3] == []


def _pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:  # it ended in between
        return b""


def _command_of(pid):
    return _read(pid, "comm").decode().strip()


def _wait_until(holds):
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_clean_environment_has_variables_that_programs_need():
    inherited = {b"PATH": b"/bin", b"LC_ALL": b"C", b"SECRET": b"x", b"VAULTR_URL": b"u"}

    assert build_environment({"A": "1"}, inherited, clean=True) == {
        b"PATH": b"/bin",
        b"LC_ALL": b"C",
        b"A": b"1",
    }


def test_non_utf8_name_is_returned_unchanged():
    assert build_environment({os.fsdecode(b"N\xff"): "ü"}, {}) == {b"N\xff": "ü".encode()}
