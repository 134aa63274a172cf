"""Prompts ask again after a mistake, and text typed ahead never reaches the shell."""

import os
import pty
import re
import select
import sys

from tests.harness.client.devices import PROGRAM, Device
from tests.harness.client.terminal import Terminal

PASSWORD = "typed at a terminal by hand"


def at_terminal(device, *words):
    return Terminal(*words, environ={**device.environ, "TERM": "xterm", "COLUMNS": "100"})


def test_weak_password_is_reported_after_the_first_entry(site, tmp_path):
    device = Device(tmp_path / "home", site.url)
    terminal = at_terminal(device, "signup", "--email", "weak@example.org")

    terminal.answers("New master password: ", "too short")
    terminal.waits_for("Suggestion: ")
    terminal.answers("New master password: ", PASSWORD)
    terminal.answers("(again): ", PASSWORD)

    assert terminal.ends() == 0
    assert terminal.shown.count("(again)") == 1
    assert "too short" not in terminal.shown


def test_wrong_password_at_unlock_is_prompted_again(account):
    terminal = at_terminal(account, "list")

    terminal.answers("Master password: ", "not this one, surely")
    terminal.answers("Master password: ", account.password)

    assert terminal.ends() == 0
    assert "Try again." in terminal.shown


def test_third_wrong_password_ends_the_command(account):
    terminal = at_terminal(account, "list")

    for _ in range(3):
        terminal.answers("Master password: ", "not this one, surely")

    assert terminal.ends() == 1
    assert terminal.shown.count("Master password: ") == 3


def test_mistyped_recovery_key_is_prompted_again(site, tmp_path):
    device = Device(tmp_path / "home", site.url)
    words = ("recover", "A" * 43, "--email", "nobody@example.org")
    terminal = at_terminal(device, *words)

    for _ in range(3):
        terminal.answers("Recovery key: ", "mistyped")

    assert terminal.ends() == 1
    assert len(re.findall("That is not a recovery key", terminal.shown)) == 3


def test_input_typed_ahead_does_not_reach_the_shell(account):
    shell = (
        *("import subprocess, sys, select",),
        f"subprocess.run({[*PROGRAM, 'list']!r})",
        "print('SHELL READS', select.select([0], [], [], 1)[0], flush=True)",
    )
    environ = {**account.environ, "TERM": "xterm", "COLUMNS": "100"}
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-c", "\n".join(shell)], environ)

    shown = ""
    for wrong in ("one", "two", "three\nrm -rf typed-ahead"):
        read_until(terminal, "Master password: ")
        os.write(terminal, f"{wrong}, surely not\n".encode())
    shown = read_until(terminal, "SHELL READS [")
    os.waitpid(child, 0)

    assert "SHELL READS []" in shown


def read_until(terminal, text):
    shown = ""
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, shown
        shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


def test_wrong_password_at_login_is_prompted_again(account, site, tmp_path):
    device = Device(tmp_path / "home", site.url)
    terminal = at_terminal(device, "login", "--email", account.email)

    terminal.answers("Master password: ", "not this one, surely")
    terminal.answers("Secret key", account.made["secret_key"])
    terminal.waits_for("Type the password again")
    terminal.answers("Master password: ", account.password)

    assert terminal.ends() == 0
    assert "This device is logged in" in terminal.shown
    assert terminal.shown.count("Secret key") == 1
