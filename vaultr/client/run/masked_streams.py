"""What stands between a child and this process's own input and output, to cover secrets in it."""

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

_PIECE_BYTES: Final = 64 * 1024
_WINDOW_BYTES: Final = 8  # struct winsize: rows, columns, and two that nobody uses


@dataclass(slots=True)
class _Way:
    """From a descriptor that the child writes to, to one of ours."""

    stream: MaskedStream
    to: int


@dataclass(slots=True)
class Streams:
    """The ways of one child. On a terminal it gets a terminal of its own, else pipes.

    :ivar ours: what is to be read from, until :meth:`carry` says that it has ended.
    """

    on_terminal: bool = field(init=False)
    ours: dict[int, _Way] = field(init=False, default_factory=dict)
    _given: dict[int, int] = field(init=False, default_factory=dict)
    _master: int = field(init=False, default=-1)
    _raw: Any = field(init=False, default=None)

    def open(self, mask: Mask) -> None:
        """Make the ways, before the child is forked."""
        self.on_terminal = os.isatty(0) and os.isatty(1)
        through_pipes = [1, 2]
        if self.on_terminal:
            self._master, slave = pty.openpty()
            termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(0))
            self.resize()
            through_pipes = [] if os.isatty(2) else [2]
            self._given = {0: slave, 1: slave, **({} if through_pipes else {2: slave})}
            self.ours[self._master] = _Way(mask.stream(), 1)
        for number in through_pipes:
            reading, writing = os.pipe()
            self.ours[reading] = _Way(mask.stream(), number)
            self._given[number] = writing

    def give(self) -> None:
        """Put them in their places; called in the child, between fork and exec."""
        if self.on_terminal:
            os.setsid()
            # Opening it makes it the terminal of the new session, also where no ioctl does.
            name = os.ttyname(self._given[0])
            os.close(os.open(name, os.O_RDWR))
            with contextlib.suppress(OSError, AttributeError):
                fcntl.ioctl(self._given[0], termios.TIOCSCTTY, 0)
        for number, given in self._given.items():
            os.dup2(given, number)

    def begin(self) -> None:
        """Close the child's ends here, and pass keys on as they are typed."""
        for given in set(self._given.values()):
            os.close(given)
        if self.on_terminal:
            self._raw = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)

    def carry(self, descriptor: int) -> bool:
        """Show what a child wrote; False when that way has ended."""
        way = self.ours[descriptor]
        try:
            data = os.read(descriptor, _PIECE_BYTES)
        except OSError:  # Linux says so when the other end of a terminal is closed
            data = b""
        shown = way.stream.feed(data) if data else way.stream.end()
        if not _written(way.to, shown) or not data:
            self._end(descriptor)
            return False
        return True

    def keys_go_on(self) -> bool:
        """Tell whether what is typed has somebody to go to."""
        return self._master in self.ours

    def typed(self) -> bool:
        """Pass on what was typed; False when nothing more will be."""
        data = os.read(0, _PIECE_BYTES)
        return bool(data) and _written(self._master, data)

    def resize(self) -> None:
        """Give the child's terminal the size of ours."""
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(_WINDOW_BYTES))
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def close(self) -> None:
        """Show what is held back, and give the terminal back as it was."""
        for descriptor in list(self.ours):
            _written(self.ours[descriptor].to, self.ours[descriptor].stream.end())
            self._end(descriptor)
        if self._raw is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._raw)
            self._raw = None

    def _end(self, descriptor: int) -> None:
        del self.ours[descriptor]
        os.close(descriptor)


def _written(to: int, data: bytes) -> bool:
    left = memoryview(data)
    try:
        while left:
            try:
                left = left[os.write(to, left) :]
            except BlockingIOError:  # another program made our terminal so
                select.select([], [to], [])
    except OSError:  # nobody reads it any more; the child learns that at its next write
        return False
    return True
