"""A pseudo-terminal: read the output, and type answers to prompts."""

import os
import select
import termios
from pathlib import Path

from tests.harness import forked_programs
from tests.harness.client.devices import PROGRAM
from tests.harness.timing import until

PATIENCE_SECONDS = 60


class Terminal:
    """One run of `vaultr` on its own terminal; ``size`` is lines and columns."""

    def __init__(self, *words, environ, size=None):
        self.shown = ""
        self._matched = 0  # where the last awaited text ends
        self._terminal, theirs = os.openpty()
        if size is not None:
            termios.tcsetwinsize(theirs, size)
        self._process = forked_programs.start_on_terminal([*PROGRAM, *words], theirs, environ)
        self.child = self._process.pid
        os.close(theirs)

    def answers(self, question, answer):
        """Wait for ``question``, then type ``answer`` and a newline."""
        self.waits_for(question)
        self.types(answer)

    def types(self, answer):
        os.write(self._terminal, answer.encode() + b"\n")

    def presses(self, keys):
        os.write(self._terminal, keys.encode())

    def presses_ctrl_c(self, question):
        self.waits_for(question)
        self.until_it_reads()
        os.write(self._terminal, b"\x03")

    def until_it_reads(self):
        """Wait until the process sleeps: a signal just before would wait for the next key."""
        stat = Path(f"/proc/{self.child}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S")

    def waits_for(self, text):
        """Wait until ``text`` is shown after the last awaited text."""
        while (found := self.shown.find(text, self._matched)) < 0:
            piece = self._read()
            assert piece, f"{text!r} is not in {self.shown!r}"
            self.shown += piece
        self._matched = found + len(text)

    def ends(self):
        """Read the remaining output, and return the exit code."""
        while piece := self._read():
            self.shown += piece
        code = self._process.wait()
        os.close(self._terminal)
        return code

    def _read(self):
        ready, _, _ = select.select([self._terminal], [], [], PATIENCE_SECONDS)
        assert ready, self.shown
        try:
            return os.read(self._terminal, 65536).decode(errors="replace")
        except OSError:  # Linux reports this when the other end is closed
            return ""


def at_terminal(device, *words):
    environ = {**device.environ, "TERM": "xterm", "COLUMNS": "100"}
    return Terminal(*words, environ=environ)
