"""Pipes or a pseudo-terminal between a child and this process, to mask secrets in its output."""

import contextlib
import fcntl
import os
import pty
import select
import termios
import tty
from dataclasses import dataclass, field
from typing import Any, Final

from vaultr.client.run.output_masking import Mask, MaskedStream

_CHUNK_BYTES: Final = 64 * 1024
_WINDOW_BYTES: Final = 8  # struct winsize: rows, columns, and two unused fields


@dataclass(slots=True)
class _Route:
    """The masking of one source, and the file descriptor to write to."""

    stream: MaskedStream
    target: int


@dataclass(slots=True)
class MaskedStreams:
    """The streams of a child: a pseudo-terminal if this process is on a terminal, or else pipes.

    :ivar sources: the file descriptors to read, until :meth:`forward_output` returns False.
    """

    on_terminal: bool = field(init=False)
    sources: dict[int, _Route] = field(init=False, default_factory=dict)
    _child_ends: dict[int, int] = field(init=False, default_factory=dict)
    _master: int = field(init=False, default=-1)
    _old_attributes: Any = field(init=False, default=None)

    def open(self, mask: Mask) -> None:
        """Open the streams, before the fork."""
        self.on_terminal = os.isatty(0) and os.isatty(1)
        piped = [1, 2]
        if self.on_terminal:
            self._master, slave = pty.openpty()
            termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(0))
            self.resize()
            piped = [] if os.isatty(2) else [2]
            self._child_ends = {0: slave, 1: slave, **({} if piped else {2: slave})}
            self.sources[self._master] = _Route(mask.stream(), 1)
        for number in piped:
            reading, writing = os.pipe()
            self.sources[reading] = _Route(mask.stream(), number)
            self._child_ends[number] = writing

    def attach(self) -> None:
        """Make them stdin, stdout and stderr; called in the child, between fork and exec."""
        if self.on_terminal:
            os.setsid()
            # Opening it makes it the controlling terminal, even where the ioctl does not.
            name = os.ttyname(self._child_ends[0])
            os.close(os.open(name, os.O_RDWR))
            with contextlib.suppress(OSError, AttributeError):
                fcntl.ioctl(self._child_ends[0], termios.TIOCSCTTY, 0)
        for number, descriptor in self._child_ends.items():
            os.dup2(descriptor, number)

    def start(self) -> None:
        """Close the child's ends in this process, and put the terminal into raw mode."""
        for descriptor in set(self._child_ends.values()):
            os.close(descriptor)
        if self.on_terminal:
            self._old_attributes = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)

    def forward_output(self, descriptor: int) -> bool:
        """Forward the child's output; return False when the stream has ended."""
        route = self.sources[descriptor]
        try:
            data = os.read(descriptor, _CHUNK_BYTES)
        except OSError:  # on Linux this means that the other end of the terminal is closed
            data = b""
        masked = route.stream.feed(data) if data else route.stream.end()
        if not _write_all(route.target, masked) or not data:
            self._close(descriptor)
            return False
        return True

    def accepts_input(self) -> bool:
        """Check whether the child can receive keyboard input."""
        return self._master in self.sources

    def forward_input(self) -> bool:
        """Forward keyboard input; return False when no more will come."""
        data = os.read(0, _CHUNK_BYTES)
        return bool(data) and _write_all(self._master, data)

    def resize(self) -> None:
        """Set the size of the child's terminal to that of our own."""
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(_WINDOW_BYTES))
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def close(self) -> None:
        """Write the remaining output, and restore the terminal."""
        for descriptor in list(self.sources):
            route = self.sources[descriptor]
            _write_all(route.target, route.stream.end())
            self._close(descriptor)
        if self._old_attributes is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._old_attributes)
            self._old_attributes = None

    def _close(self, descriptor: int) -> None:
        del self.sources[descriptor]
        os.close(descriptor)


def _write_all(target: int, data: bytes) -> bool:
    left = memoryview(data)
    try:
        while left:
            try:
                left = left[os.write(target, left) :]
            except BlockingIOError:  # another program made our terminal non-blocking
                select.select([], [target], [])
    except OSError:  # nobody reads the output any more; the child notices that at its next write
        return False
    return True
