"""Receive signals through a file descriptor, and detect whether the terminal sent them."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Signals that are forwarded to a child, and the signal for its end.
FORWARDED: Final = frozenset(
    {
        *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH),
        *(signal.SIGUSR1, signal.SIGUSR2),
    }
)
CAUGHT: Final = FORWARDED | {signal.SIGCHLD}
# A terminal sends these to its whole foreground process group, so a child receives them too.
_TERMINAL_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH})
# Source: signalfd(2), struct signalfd_siginfo and its flags; SI_KERNEL of sigaction(2).
_INFO_BYTES: Final = 128
_SET_BYTES: Final = 128
_FLAGS: Final = 0o2000000 | 0o4000  # close on exec, do not block
_SI_KERNEL: Final = 0x80


@dataclass(frozen=True, slots=True)
class ReceivedSignal:
    """A signal; ``from_terminal`` if the whole foreground process group received it."""

    number: int
    from_terminal: bool


class SignalQueue:
    """Queues the signals of this process until it is closed.

    :ivar fd: a file descriptor that is readable when a signal has arrived.
    """

    def __init__(self) -> None:
        self._old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
        self.fd = self._open_signalfd() if sys.platform == "linux" else self._open_wakeup_fd()

    def _open_signalfd(self) -> int:
        mask = sum(1 << (number - 1) for number in CAUGHT)
        libc = ctypes.CDLL(None, use_errno=True)
        fd: int = libc.signalfd(-1, mask.to_bytes(_SET_BYTES, sys.byteorder), _FLAGS)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "signalfd")
        return fd

    def _open_wakeup_fd(self) -> int:
        # Other systems report only the number of a signal.
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._handlers = {n: signal.signal(n, lambda *_: None) for n in CAUGHT}
        self._writing = writing
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)
        return reading

    def read(self) -> Iterator[ReceivedSignal]:
        """Yield the signals that arrived since the last call."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, _INFO_BYTES if sys.platform == "linux" else 64):
                yield from self._parse(data)

    def _parse(self, data: bytes) -> Iterator[ReceivedSignal]:
        if sys.platform == "linux":
            number = int.from_bytes(data[:4], sys.byteorder)
            code = int.from_bytes(data[8:12], sys.byteorder, signed=True)
            yield ReceivedSignal(number, number in _TERMINAL_SIGNALS and code == _SI_KERNEL)
        else:
            for number in data:
                yield ReceivedSignal(number, number in _TERMINAL_SIGNALS and in_foreground())

    def restore_in_child(self) -> None:
        """Restore the original signal handling in a child, between fork and exec."""
        for number in CAUGHT:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)

    def close(self) -> None:
        """Restore the original signal handling."""
        if sys.platform != "linux":
            signal.set_wakeup_fd(-1)
            os.close(self._writing)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        os.close(self.fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)


def in_foreground() -> bool:
    """Check whether this process is in the foreground of a terminal."""
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
