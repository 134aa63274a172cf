"""Signals as something to wait for, with the knowledge of whether the terminal sent them."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# What is passed on to a child; and its end, which is noticed.
PASSED: Final = frozenset(
    {
        *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH),
        *(signal.SIGUSR1, signal.SIGUSR2),
    }
)
CAUGHT: Final = PASSED | {signal.SIGCHLD}
# What a terminal sends to everybody in its foreground, so that a child has it already.
_OF_TERMINALS: Final = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH})
# Source: signalfd(2), struct signalfd_siginfo and its flags; SI_KERNEL of sigaction(2).
_INFO_BYTES: Final = 128
_SET_BYTES: Final = 128
_FLAGS: Final = 0o2000000 | 0o4000  # close on exec, do not block
_SI_KERNEL: Final = 0x80


@dataclass(frozen=True, slots=True)
class Arrived:
    """A signal that came. ``from_terminal``: everybody in the foreground got it."""

    number: int
    from_terminal: bool


class Signals:
    """Collects the signals of this process while it is open.

    :ivar fd: a descriptor that can be read when there is one.
    """

    def __init__(self) -> None:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
        self.fd = self._signalfd() if sys.platform == "linux" else self._wakeups()

    def _signalfd(self) -> int:
        mask = sum(1 << (number - 1) for number in CAUGHT)
        libc = ctypes.CDLL(None, use_errno=True)
        fd: int = libc.signalfd(-1, mask.to_bytes(_SET_BYTES, sys.byteorder), _FLAGS)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "signalfd")
        return fd

    def _wakeups(self) -> int:
        # Elsewhere a handler's number is all there is to know.
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._handlers = {n: signal.signal(n, lambda *_: None) for n in CAUGHT}
        self._writing = writing
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
        return reading

    def arrived(self) -> Iterator[Arrived]:
        """Give the signals that came since the last time."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, _INFO_BYTES if sys.platform == "linux" else 64):
                yield from self._read(data)

    def _read(self, data: bytes) -> Iterator[Arrived]:
        if sys.platform == "linux":
            number = int.from_bytes(data[:4], sys.byteorder)
            code = int.from_bytes(data[8:12], sys.byteorder, signed=True)
            yield Arrived(number, number in _OF_TERMINALS and code == _SI_KERNEL)
        else:
            for number in data:
                yield Arrived(number, number in _OF_TERMINALS and in_foreground())

    def as_before(self) -> None:
        """Give a child, between fork and exec, the signals that this process began with."""
        for number in CAUGHT:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def close(self) -> None:
        """Let signals do again what they did before."""
        if sys.platform != "linux":
            signal.set_wakeup_fd(-1)
            os.close(self._writing)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        os.close(self.fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


def in_foreground() -> bool:
    """Tell whether this process is in the foreground of a terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
