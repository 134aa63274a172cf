"""Run a command as a child: forward output and signals, and restart it on changes.

A command that needs neither masking nor restarts replaces this process instead; see
:mod:`vaultr.client.run.execute`.
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
from vaultr.client.run.child_signals import SignalQueue
from vaultr.client.run.execute import execute, start_error
from vaultr.client.run.masked_streams import MaskedStreams
from vaultr.client.run.output_masking import Mask

# How long a child may take to end before a restart kills it.
TERMINATION_SECONDS: Final = 10.0
# How long to wait for output of grandchildren after the child has ended.
_FINAL_OUTPUT_SECONDS: Final = 0.5
_ERRNO_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class ChildEnvironment:
    """The environment of a child, and the values in it to mask."""

    variables: Mapping[bytes, bytes] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False, default=())


class Changes(Protocol):
    """A source of new environments."""

    @property
    def fd(self) -> int | None:
        """Return the file descriptor to select on; None if nothing more will come."""
        ...

    def next(self) -> ChildEnvironment | None:
        """Read the messages; return a new environment if there is one."""
        ...


class Child:
    """One run of the command."""

    def __init__(
        self,
        command: Sequence[str],
        environment: ChildEnvironment,
        signals: SignalQueue,
        *,
        mask: bool,
    ) -> None:
        self.streams = MaskedStreams() if mask else None
        if self.streams is not None:
            self.streams.open(Mask(environment.secrets))
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _run_child(command, environment, signals, self.streams, writing)
        os.close(writing)
        if self.streams is not None:
            self.streams.start()
        self._start_error = self._read_start_error(reading, command[0])

    def _read_start_error(self, reading: int, name: str) -> VaultrError | None:
        with open(reading, "rb") as pipe:
            data = pipe.read(_ERRNO_BYTES)
        return start_error(name, int.from_bytes(data, "big")) if data else None

    def check_started(self) -> None:
        """Raise an error if the command could not be executed.

        :raises CommandNotFound, CommandNotStarted: it could not.
        """
        if self._start_error is not None:
            os.waitpid(self.pid, 0)
            self.close()
            raise self._start_error

    def send(self, number: int) -> None:
        """Send a signal, unless the child has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the child runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def close(self) -> None:
        """Write the remaining output, and restore the terminal."""
        if self.streams is not None:
            self.streams.close()


class Supervisor:
    """Run a command until it ends, and restart it when its environment changes."""

    def __init__(
        self, command: Sequence[str], *, mask: bool = False, changes: Changes | None = None
    ) -> None:
        self._command = command
        self._mask = mask
        self._changes = changes
        self._signals = SignalQueue()
        self._next_environment: ChildEnvironment | None = None
        self._kill_at: float | None = None

    def run(self, environment: ChildEnvironment) -> int:
        """Run the command to its end; return its exit code, negative for a signal.

        :raises CommandNotFound, CommandNotStarted: it cannot be executed.
        """
        try:
            while True:
                child = Child(self._command, environment, self._signals, mask=self._mask)
                child.check_started()
                code = self._supervise(child)
                if self._next_environment is None:
                    return code
                environment = self._next_environment
                self._next_environment, self._kill_at = None, None
        finally:
            self._signals.close()

    def _supervise(self, child: Child) -> int:
        try:
            input_is_open = True
            while True:
                ready = self._select(child, input_is_open=input_is_open)
                if self._signals.fd in ready:
                    self._forward_signals(child)
                    if (code := child.poll()) is not None:
                        self._drain(child)
                        return code
                if self._changes is not None and self._changes.fd in ready:
                    self._read_change(child)
                if child.streams is not None:
                    if 0 in ready:
                        input_is_open = child.streams.forward_input()
                    for descriptor in ready & child.streams.sources.keys():
                        child.streams.forward_output(descriptor)
                if self._kill_at is not None and time.monotonic() >= self._kill_at:
                    child.send(signal.SIGKILL)
                    self._kill_at = None
        finally:
            child.close()

    def _select(self, child: Child, *, input_is_open: bool) -> set[int]:
        descriptors = {self._signals.fd}
        if child.streams is not None:
            descriptors |= child.streams.sources.keys()
            if input_is_open and child.streams.accepts_input():
                descriptors.add(0)
        if self._changes is not None and self._changes.fd is not None:
            descriptors.add(self._changes.fd)
        timeout = None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())
        return set(select.select(list(descriptors), [], [], timeout)[0])

    def _forward_signals(self, child: Child) -> None:
        for received in self._signals.read():
            if received.number == signal.SIGCHLD:
                continue
            if received.number == signal.SIGWINCH and child.streams is not None:
                child.streams.resize()
            own_terminal = child.streams is not None and child.streams.on_terminal
            # A child in the same foreground process group has already received signals from the
            # terminal.
            if own_terminal or not received.from_terminal:
                child.send(received.number)
            if received.number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                self._next_environment = None  # the user wants it to end, not to restart

    def _read_change(self, child: Child) -> None:
        environment = None if self._changes is None else self._changes.next()
        if environment is not None:
            self._next_environment = environment
            self._kill_at = time.monotonic() + TERMINATION_SECONDS
            child.send(signal.SIGTERM)

    def _drain(self, child: Child) -> None:
        while child.streams is not None and child.streams.sources:
            sources = list(child.streams.sources)
            ready = select.select(sources, [], [], _FINAL_OUTPUT_SECONDS)[0]
            if not ready:
                return
            for descriptor in ready:
                child.streams.forward_output(descriptor)


def _run_child(
    command: Sequence[str],
    environment: ChildEnvironment,
    signals: SignalQueue,
    streams: MaskedStreams | None,
    writing: int,
) -> None:
    """Execute the command in the forked child; after an error, exit without returning."""
    number = errno.ENOEXEC
    try:
        if streams is not None:
            streams.attach()
        signals.restore_in_child()
        execute(command, environment.variables)
    except OSError as error:
        number = error.errno or number
    finally:
        with contextlib.suppress(OSError):
            os.write(writing, number.to_bytes(_ERRNO_BYTES, "big"))
        os._exit(127)


def exit_like(code: int) -> int:
    """End by the same signal as the child; if it ended normally, return its exit code."""
    if code >= 0:
        return code
    with contextlib.suppress(OSError, ValueError):
        signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os.kill(os.getpid(), -code)
    return 128 - code
