import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.client.terminal import Terminal
from tests.harness.timing import until
from vaultr.client.background.clipboard import Clipboard, NoClipboard

SECRET = "hunter2 for the clipboard ü"
# Two programs like those of a desktop; a file contains the clipboard. A second file keeps every
# copied text, because a busy test may look too late.
WRITES = """#!/bin/sh
case "$1" in --clear) : > "$BOARD";; *) cat > "$BOARD.copied"; cp "$BOARD.copied" "$BOARD";; esac
"""
READS = '#!/bin/sh\ncat "$BOARD"\n'


class Desktop:
    """A device on a desktop where two programs manage the clipboard."""

    def __init__(self, device, folder):
        self.device = device
        self.board = folder / "board"
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name, text in (("wl-copy", WRITES), ("wl-paste", READS)):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)
        self.environ = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "WAYLAND_DISPLAY": "wayland-0",
            "BOARD": str(self.board),
        }

    def types(self, *words, **more):
        return self.device.types(*words, env=self.environ.items(), **more)

    def copied(self):
        """Return the last copied text, even after it was cleared."""
        return Path(f"{self.board}.copied").read_text()

    def is_cleared(self):
        return until(lambda: self.board.read_text() == "")


@pytest.fixture(scope="module")
def copied(device):
    for title, detail in {
        "copied": {"password": SECRET, "totp": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"},
        "copied empty": {"password": ""},
    }.items():
        item = {"overview": {"title": title, "username": "ann"}, "detail": detail}
        device.done("add", "login", "--json", stdin=json.dumps(item))
    return device


@pytest.fixture
def desktop(copied, tmp_path):
    return Desktop(copied, tmp_path)


def test_password_is_copied_and_then_cleared(desktop):
    result = desktop.types("copy", "copied", "--clear-after", "3s")

    assert (result.returncode, result.stdout) == (0, "")
    assert "cleared after 3 seconds" in result.stderr
    assert desktop.copied() == SECRET
    assert desktop.is_cleared()


def test_copy_slower_than_clear_time_is_still_cleared(desktop):
    (desktop.programs / "wl-copy").write_text(WRITES.replace("*)", "*) sleep 3;"))

    assert desktop.types("copy", "copied", "--clear-after", "1s").returncode == 0

    assert desktop.copied() == SECRET
    assert desktop.is_cleared()


def test_newer_clipboard_content_is_not_cleared(desktop):
    desktop.types("copy", "copied", "--clear-after", "1h")

    desktop.board.write_text("something else")
    os.kill(_waiting(desktop), signal.SIGTERM)
    until(lambda: _waiting(desktop) is None)

    assert desktop.board.read_text() == "something else"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("copied", "--field", "username"), "ann"),
        (("vaultr://Personal/copied/password",), SECRET),
        (("copied", "--offline"), SECRET),
    ],
)
def test_any_field_can_be_copied(desktop, words, text):
    result = desktop.types("copy", *words, "--json", "--clear-after", "3s")

    assert json.loads(result.stdout) == {"copied": True, "clear_after_seconds": 3.0}
    assert desktop.copied() == text
    assert desktop.is_cleared()


def test_code_and_generated_password_can_be_copied(desktop):
    assert desktop.types("code", "copied", "--copy").stdout == ""
    assert desktop.board.read_text().isdecimal()
    assert desktop.types("generate", "--copy").stdout == ""
    assert len(desktop.board.read_text()) == 20


def test_clearing_process_has_no_secret_and_clears_on_signal(desktop):
    desktop.types("copy", "copied", "--clear-after", "1h")
    waiting = _waiting(desktop)

    with (
        open(f"/proc/{waiting}/environ", "rb") as environ,
        open(f"/proc/{waiting}/cmdline") as words,
    ):
        assert SECRET.encode() not in environ.read()
        assert SECRET not in words.read()
    os.kill(waiting, signal.SIGTERM)

    assert desktop.is_cleared()


def _waiting(desktop):
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as environ:
            if f"BOARD={desktop.board}".encode() in environ.read().split(b"\0"):
                return int(name)
    return None


def test_missing_clipboard_copies_nothing_and_suggests_programs(copied, tmp_path):
    message = copied.fails(1, "copy", "copied")
    assert "No desktop session" in message
    assert "over ssh: vaultr copy --osc52" in message
    message = copied.types(
        "copy", "copied", env=[("DISPLAY", ":7"), ("PATH", str(tmp_path))]
    ).stderr
    assert "install xclip or xsel" in message


def test_failing_clipboard_is_reported_without_the_secret(desktop):
    (desktop.programs / "wl-copy").write_text("#!/bin/sh\ncat >&2; exit 3\n")

    result = desktop.types("copy", "copied")

    assert (result.returncode, result.stdout) == (1, "")
    assert "wl-copy failed" in result.stderr
    assert SECRET not in result.stderr


@pytest.mark.parametrize("after", ["0s", "2h", "30", "soon"])
def test_invalid_clear_time_is_rejected(desktop, after):
    assert desktop.types("copy", "copied", "--clear-after", after).returncode == 2
    assert not desktop.board.exists()


def test_empty_field_is_not_copied(desktop):
    assert "empty" in desktop.types("copy", "copied empty").stderr
    assert not desktop.board.exists()


def test_terminal_clipboard_is_used_only_with_option(copied):
    terminal = Terminal("copy", "copied", "--osc52", environ={**copied.environ, "TERM": "xterm"})

    assert terminal.ends() == 0
    sent = base64.b64encode(SECRET.encode()).decode()
    assert f"\x1b]52;c;{sent}\x07" in terminal.shown
    assert "overwrite it" in terminal.shown
    message = copied.fails(1, "copy", "copied", "--osc52")
    assert "--osc52 needs a terminal. Run it in one" in message
    copied.fails(2, "copy", "copied", "--osc52", "--clear-after", "5s")


def test_clipboard_program_depends_on_the_desktop(tmp_path):
    for name in ("pbcopy", "pbpaste", "xclip", "xsel", "wl-copy", "wl-paste"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    here = {"PATH": str(tmp_path)}

    found = [
        Clipboard.find(here, "darwin").write[0],
        Clipboard.find(here | {"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, "linux").write[0],
        Clipboard.find(here | {"DISPLAY": ":0"}, "linux").write[0],
    ]
    (tmp_path / "xclip").unlink()
    found.append(Clipboard.find(here | {"DISPLAY": ":0"}, "linux").write[0])

    assert found == ["pbcopy", "wl-copy", "xclip", "xsel"]
    with pytest.raises(NoClipboard):
        Clipboard.find(here, "linux")


@pytest.mark.parametrize("program", ["xclip", "xsel"])
def test_real_clipboard_is_filled_and_cleared(copied, tmp_path, program):
    """If installed: an X server without a screen, and the real programs."""
    if not (server := shutil.which("Xvfb")) or not shutil.which(program):
        return
    (tmp_path / program).symlink_to(shutil.which(program))
    read = {"xclip": ("xclip", "-selection", "clipboard", "-out"),
            "xsel": ("xsel", "--clipboard", "--output")}[program]  # fmt: skip
    reading, writing = os.pipe()
    words = [server, "-displayfd", str(writing), "-nolisten", "tcp"]
    with subprocess.Popen(words, pass_fds=[writing], stderr=subprocess.DEVNULL) as display:
        os.close(writing)
        with open(reading) as number:
            environ = {"DISPLAY": f":{number.readline().strip()}", "PATH": str(tmp_path)}
        result = copied.types("copy", "copied", "--clear-after", "6s", env=environ.items())
        now = subprocess.run(read, env=environ, capture_output=True, timeout=60).stdout.decode()
        until(lambda: not subprocess.run(read, env=environ, capture_output=True, timeout=60).stdout)
        display.terminate()

    assert (result.returncode, now) == (0, SECRET)
