"""What is printed to stdout and stderr, how it looks on a terminal, and the age of data."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import termios
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.client.devices import NOBODY, Device
from tests.harness.client.terminal import Terminal
from vaultr.client.storage.private_folder import Folder

STYLE = re.compile(r"\x1b\[")


@pytest.fixture(scope="module")
def shown(device):
    items = {
        "output post": ({"username": "ann"}, {"password": "hunter2 out", "notes": "one\ntwo"}),
        "output " + "long " * 30: ({"username": "u" * 60, "folder": "f" * 40}, {"password": "x"}),
        "output 日本語のタイトルはとても広いです": ({}, {"password": "x"}),
        "output \x1b[31mred\x1b[0m\u202e": ({"username": "\x07bell"}, {"password": "\x1b[2J"}),
    }
    for title, (overview, detail) in items.items():
        item = {"overview": {"title": title, **overview}, "detail": detail}
        device.done("add", "login", "--json", stdin=json.dumps(item))
    return device


def on_terminal(device, *words, columns=80, **more):
    environ = {**device.environ, "TERM": "xterm-256color", **more}
    terminal = Terminal(*words, environ=environ)
    termios.tcsetwinsize(terminal._terminal, (24, columns))
    assert terminal.ends() == 0, terminal.shown
    return terminal.shown


def test_styles_appear_only_on_capable_terminals(shown):
    assert STYLE.search(on_terminal(shown, "list", "output"))
    assert not STYLE.search(on_terminal(shown, "list", "output", NO_COLOR="1"))
    assert not STYLE.search(on_terminal(shown, "list", "output", TERM="dumb"))
    assert not STYLE.search(shown.done("list", "output"))
    assert not STYLE.search(shown.done("show", "output post"))
    assert STYLE.search(on_terminal(shown, "show", "output post"))


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_table_fits_terminal_and_ids_are_complete(shown, columns):
    text = on_terminal(shown, "list", "output", columns=columns, NO_COLOR="1")
    lines = [line for line in text.replace("\r\n", "\n").splitlines() if line]

    least = 4 * 10 + 4 * 2 + 36  # the columns that stay readable, even on a narrower terminal
    assert all(_columns(line) <= max(columns, least) for line in lines)
    assert all(re.search(r"[0-9a-f-]{36}$", line) for line in lines[1:])


def _columns(text):
    return sum(2 if ord(each) >= 0x1100 and each != "…" else 1 for each in text)


def test_piped_output_is_not_truncated(shown):
    assert "u" * 47 in shown.done("list", "output")


def test_terminal_escapes_are_printed_escaped(shown):
    for words in (("list", "output"), ("show", "output \x1b[31mred\x1b[0m\u202e", "--reveal")):
        text = on_terminal(shown, *words, NO_COLOR="1")
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "\u202e" not in text


def test_secrets_are_shown_only_with_option(shown):
    for words in (("list", "output"), ("show", "output post"), ("show", "output post", "--json")):
        result = shown.types(*words)
        assert "hunter2" not in result.stdout + result.stderr
    hidden = shown.types("show", "output post")

    assert "password  ········\n" in hidden.stdout
    assert "Secrets are hidden" in hidden.stderr
    revealed = shown.done("show", "output post", "--reveal")
    assert "password  hunter2 out\nnotes     one\n          two\n" in revealed
    assert shown.done("show", "output post", "--field", "notes") == "one\ntwo\n"


def test_only_results_are_written_to_stdout(shown):
    for words in (
        ("list", "output"),
        ("show", "output post"),
        ("sync",),
        ("doctor",),
        ("generate",),
    ):
        result = shown.types(*words)
        assert (result.returncode, bool(result.stdout)) == (0, True)
        assert json.loads(shown.done(*words, "--json")) is not None
    outcome = shown.types("list", "nothing like it")
    assert outcome.stdout.splitlines()[1:] == []
    assert outcome.stderr == "No items found.\n"


def test_cache_age_is_shown_and_limited(shown):
    shown.done("sync")
    away = [("VAULTR_URL", "")]

    result = shown.types("list", "output", "--offline", env=away)
    assert result.stderr == "Using the copy on this device, less than a minute old.\n"
    assert shown.types("list", "output", "--offline", "--max-age", "1h", env=away).returncode == 0
    note = shown.home / "vaultr" / "synced.json"
    stored = note.read_bytes()
    _set_cache_age(shown, hours=30)
    result = shown.types("list", "output", "--offline")
    assert "1 day old" in result.stderr
    message = shown.fails(1, "list", "output", "--offline", "--max-age", "12h")
    assert "The copy on this device is 1 day old." in message
    assert "vaultr sync" in message
    assert note.read_bytes() != stored


def test_fresh_cache_skips_server_and_old_one_is_updated(shown):
    shown.done("sync")
    environ = {**shown.environ}
    title = "output added elsewhere"

    stored = shown.run_json("list", title, "--max-age", "1h")
    item = {"overview": {"title": title}, "detail": {}}
    shown.done("add", "login", "--json", stdin=json.dumps(item))
    _set_cache_age(shown, hours=3)
    requested = shown.run_json("list", title, "--max-age", "2h")

    assert (stored, len(requested)) == ([], 1)
    assert shown.environ == environ


@pytest.mark.parametrize("age", ["12", "h", "1y", "-1h", "1.5h", "", "1h30m"])
def test_invalid_max_age_is_rejected(shown, age):
    assert "a number and s, m, h, d or w" in shown.fails(2, "list", "--max-age", age)


def test_altered_cache_age_file_is_an_integrity_error(shown):
    note = shown.home / "vaultr" / "synced.json"
    stored = note.read_bytes()
    note.write_bytes(stored.replace(b"20", b"19"))
    try:
        assert "synced.json" in shown.fails(5, "list", "--offline")
    finally:
        note.write_bytes(stored)


def _set_cache_age(device, *, hours):
    """Sign the record of the last sync again, as if it were hours old."""
    at = datetime.now(UTC) - timedelta(hours=hours)
    text = json.dumps({"at": at.isoformat(timespec="seconds")})
    Folder(device.home / "vaultr").write_signed("synced.json", text.encode())


def test_ctrl_c_during_silent_server_exits_130_unchanged(shown, tmp_path):
    device = Device(tmp_path / "home", NOBODY)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        device.environ["VAULTR_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = [*device.program, "login", "--email", "a@b.example", "--no-secret-key"]
        process = subprocess.Popen(
            [*words, "--password-fd", "0"], env=device.environ, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        process.stdin.write("a password that is long enough\n")
        process.stdin.close()
        connection, _ = silent.accept()
        _press_ctrl_c_until_it_ends(process)
        output, printed = process.stdout.read(), process.stderr.read()
        connection.close()
        process.stdout.close()
        process.stderr.close()

    assert process.wait(20) == 130
    assert (output, printed.strip()) == ("", "Interrupted.")
    left = [each.name for each in device.home.rglob("*") if each.is_file()]
    assert "account.json" not in left
    assert not [each for each in left if "unfinished" in each]


def _press_ctrl_c_until_it_ends(process):
    """Press Ctrl-C repeatedly: Python keeps sleeping if a signal arrives just before it reads."""
    for _ in range(6):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)  # pressing it again while the command ends would be another test
            return


def test_ctrl_c_at_a_question_writes_nothing(account):
    before = account.run_json("sync")
    terminal = Terminal("add", "login", "--title", "half done", environ=account.environ)
    terminal.answers("Master password: ", account.password)
    terminal.waits_for("Username")
    terminal.until_it_reads()
    os.kill(terminal.child, signal.SIGINT)

    assert terminal.ends() == 130
    assert [each["head"] for each in account.run_json("sync")] == [each["head"] for each in before]


def test_concurrent_commands_do_not_affect_each_other(shown):
    began = time.monotonic()
    words = [*shown.program, "list", "output", "--json"]
    many = [subprocess.Popen(words, env=shown.environ, stdout=subprocess.PIPE) for _ in range(6)]
    answers = [process.communicate(timeout=60)[0] for process in many]

    assert {process.returncode for process in many} == {0}
    assert len(set(answers)) == 1
    assert time.monotonic() - began < 60
