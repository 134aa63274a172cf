"""A pseudo-terminal: reads the output, and types answers to prompts."""

import os
import pty
import select
import signal
import sys
import termios
from pathlib import Path

from tests.client.devices import PROGRAM
from tests.harness.timing import until

PATIENCE_SECONDS = 60


class Terminal:
    """One run of `vaultr` on a terminal of its own; ``size`` is lines and columns."""

    def __init__(self, *words, environ, size=None):
        self.shown = ""
        self._matched = 0  # where the last text that was waited for ends
        self.child, self._terminal = pty.fork()
        if self.child == 0:
            # Tests that run in a shell's background were told to ignore Ctrl-C; people were not.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if size is not None:
                termios.tcsetwinsize(0, size)
            os.execve(sys.executable, [*PROGRAM, *words], dict(environ))

    def answers(self, question, answer):
        """Wait until ``question`` is asked, then type ``answer`` and a newline."""
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
        """Wait until it sleeps: a signal in the instant before would wait for the next key."""
        stat = Path(f"/proc/{self.child}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S")

    def waits_for(self, text):
        """Wait until ``text`` is shown, after what was waited for before."""
        while (found := self.shown.find(text, self._matched)) < 0:
            piece = self._read()
            assert piece, f"{text!r} is not in {self.shown!r}"
            self.shown += piece
        self._matched = found + len(text)

    def ends(self):
        """Read all that is left, and return the exit code."""
        while piece := self._read():
            self.shown += piece
        _, status = os.waitpid(self.child, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)

    def _read(self):
        ready, _, _ = select.select([self._terminal], [], [], PATIENCE_SECONDS)
        assert ready, self.shown
        try:
            return os.read(self._terminal, 65536).decode(errors="replace")
        except OSError:  # Linux says so when the other end is closed
            return ""
