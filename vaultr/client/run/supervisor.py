"""Runs a child beside this process: its output covered, and begun anew when its variables change.

A child that needs neither takes this process's place instead: see :mod:`vaultr.client.run.execute`.
"""

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from vaultr.client.errors import VaultrError
from vaultr.client.run.child_signals import Signals
from vaultr.client.run.execute import execute, not_started
from vaultr.client.run.masked_streams import Streams
from vaultr.client.run.output_masking import Mask

# How long a child may take to end when it is to begin anew; then it is killed.
ENDING_SECONDS: Final = 10.0
# What is still written when the child has ended, by children of its own, is waited for so long.
_LAST_WORDS_SECONDS: Final = 0.5
_ERRNO_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Environment:
    """What a child gets, and what of it is to be covered."""

    variables: Mapping[bytes, bytes] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False, default=())


class Changes(Protocol):
    """Where new environments come from."""

    @property
    def fd(self) -> int | None:
        """A descriptor that can be read when there is something; None when nothing will come."""
        ...

    def next(self) -> Environment | None:
        """Take what has come; None when it is no new environment."""
        ...


class Child:
    """One run of the command."""

    def __init__(
        self, command: Sequence[str], given: Environment, signals: Signals, *, masked: bool
    ) -> None:
        self.streams = Streams() if masked else None
        if self.streams is not None:
            self.streams.open(Mask(given.secrets))
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become(command, given, signals, self.streams, writing)
        os.close(writing)
        if self.streams is not None:
            self.streams.begin()
        self._refused = self._not_started(reading, command[0])

    def _not_started(self, reading: int, name: str) -> VaultrError | None:
        with open(reading, "rb") as told:
            data = told.read(_ERRNO_BYTES)
        return not_started(name, int.from_bytes(data, "big")) if data else None

    def check_started(self) -> None:
        """Refuse a command that could not be executed.

        :raises CommandNotFound, CommandNotStarted: it could not.
        """
        if self._refused is not None:
            os.waitpid(self.pid, 0)
            self.close()
            raise self._refused

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ended(self) -> int | None:
        """Give its exit code, negative for a signal; None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def close(self) -> None:
        """Show what is left, and give the terminal back."""
        if self.streams is not None:
            self.streams.close()


class Supervisor:
    """Runs a command until it ends, and again whenever what it was given has changed."""

    def __init__(
        self, command: Sequence[str], *, masked: bool = False, changes: Changes | None = None
    ) -> None:
        self._command = command
        self._masked = masked
        self._changes = changes
        self._signals = Signals()
        self._following: Environment | None = None
        self._kill_at: float | None = None

    def run(self, given: Environment) -> int:
        """Run it to its end, and give its exit code: negative where a signal ended it.

        :raises CommandNotFound, CommandNotStarted: it cannot be executed.
        """
        try:
            while True:
                child = Child(self._command, given, self._signals, masked=self._masked)
                child.check_started()
                code = self._watch(child)
                if self._following is None:
                    return code
                given, self._following, self._kill_at = self._following, None, None
        finally:
            self._signals.close()

    def _watch(self, child: Child) -> int:
        try:
            typing = True
            while True:
                ready = self._wait(child, typing=typing)
                if self._signals.fd in ready:
                    self._pass_on(child)
                    if (code := child.ended()) is not None:
                        self._last_words(child)
                        return code
                if self._changes is not None and self._changes.fd in ready:
                    self._change(child)
                if child.streams is not None:
                    if 0 in ready:
                        typing = child.streams.typed()
                    for descriptor in ready & child.streams.ours.keys():
                        child.streams.carry(descriptor)
                if self._kill_at is not None and time.monotonic() >= self._kill_at:
                    child.send(signal.SIGKILL)
                    self._kill_at = None
        finally:
            child.close()

    def _wait(self, child: Child, *, typing: bool) -> set[int]:
        waited = {self._signals.fd}
        if child.streams is not None:
            waited |= child.streams.ours.keys()
            if typing and child.streams.keys_go_on():
                waited.add(0)
        if self._changes is not None and self._changes.fd is not None:
            waited.add(self._changes.fd)
        left = None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())
        return set(select.select(list(waited), [], [], left)[0])

    def _pass_on(self, child: Child) -> None:
        for arrived in self._signals.arrived():
            if arrived.number == signal.SIGCHLD:
                continue
            if arrived.number == signal.SIGWINCH and child.streams is not None:
                child.streams.resize()
            own = child.streams is not None and child.streams.on_terminal
            # What our terminal sends, a child in the same foreground has already.
            if own or not arrived.from_terminal:
                child.send(arrived.number)
            if arrived.number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                self._following = None  # somebody wants it to end, and not to begin anew

    def _change(self, child: Child) -> None:
        following = None if self._changes is None else self._changes.next()
        if following is not None:
            self._following = following
            self._kill_at = time.monotonic() + ENDING_SECONDS
            child.send(signal.SIGTERM)

    def _last_words(self, child: Child) -> None:
        while child.streams is not None and child.streams.ours:
            ready = select.select(list(child.streams.ours), [], [], _LAST_WORDS_SECONDS)[0]
            if not ready:
                return
            for descriptor in ready:
                child.streams.carry(descriptor)


def _become(
    command: Sequence[str],
    given: Environment,
    signals: Signals,
    streams: Streams | None,
    writing: int,
) -> None:
    """Be the child: nothing that goes wrong here may go on as if it were the parent."""
    number = errno.ENOEXEC
    try:
        if streams is not None:
            streams.give()
        signals.as_before()
        execute(command, given.variables)
    except OSError as error:
        number = error.errno or number
    finally:
        with contextlib.suppress(OSError):
            os.write(writing, number.to_bytes(_ERRNO_BYTES, "big"))
        os._exit(127)


def end_as(code: int) -> int:
    """End as the child did: by the same signal, or else with its exit code, which is given."""
    if code >= 0:
        return code
    with contextlib.suppress(OSError, ValueError):
        signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os.kill(os.getpid(), -code)
    return 128 - code
