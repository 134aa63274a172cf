"""Keep a file up to date with a template, for programs that read secrets from files."""

import os
import stat
import subprocess  # nosec B404 # runs the command that the user names
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from vaultr.client.errors import (
    IntegrityError,
    Locked,
    NotFound,
    RateLimited,
    Refused,
    ServerUnreachable,
    Unavailable,
    VaultrError,
)
from vaultr.client.items.templates import filled
from vaultr.client.run.execute import build_environment
from vaultr.client.run.key_handoff import last_lock_of
from vaultr.client.storage.secret_files import save

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr

# While the server is unreachable, the interval doubles up to this value.
_MAX_INTERVAL_SECONDS: Final = 120.0
# How quickly the watch notices that the user locked the device.
_LOCK_POLL_SECONDS: Final = 1.0
# How long the command may take to end when the watch is stopped.
_TERMINATION_SECONDS: Final = 10.0
_AWAY: Final = (ServerUnreachable, Unavailable, RateLimited)


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file to write from a template.

    :ivar template: the text with references; read only once.
    :ivar path: the file to write, with mode 0600.
    :ivar command: the shell command to run after each write; None for none.
    """

    template: str
    path: Path
    command: str | None


class TemplateWatch:
    """Writes a file again when a value in its template changes, and then runs a command.

    :param every_seconds: how often to ask the server.
    :param notify: prints a message for the user.
    """

    def __init__(
        self,
        vaultr: "Vaultr",
        file: WatchedFile,
        *,
        every_seconds: float,
        notify: Callable[[str], None],
    ) -> None:
        self._vaultr = vaultr
        self._file = file
        self._every_seconds = every_seconds
        self._notify = notify
        self._locked_before = last_lock_of(vaultr)
        self._written: bytes | None = None
        self._last_notice = ""
        self._is_starting_command = False
        self._is_stopped = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """Handle SIGTERM: end the watch and its running command."""
        self._is_stopped = True
        # While the command is being started, it cannot be ended.
        if not self._is_starting_command:
            raise SystemExit(0)

    def run(self) -> None:
        """Write the file, and watch until the process is stopped.

        While the server is unreachable, an item is missing or the disk is full, the file stays
        unchanged.

        :raises Locked: the user locked this device.
        :raises VaultrError: the first write failed, the server rejected the session, or a response
            failed verification.
        """
        if not self._is_current(first := self._content()):
            self._write(first)
        self._written = first
        pause = self._every_seconds
        while True:
            self._wait(pause)
            is_away = self._update()
            pause = min(pause * 2, _MAX_INTERVAL_SECONDS) if is_away else self._every_seconds
            pause = max(pause, self._every_seconds)

    def _update(self) -> bool:
        """Write the file if it has changed; return whether the server is unreachable."""
        try:
            content = self._content()
            if content != self._written:
                self._write(content)
                self._written = content
        except _AWAY as error:
            self._notify_once(error)
            return True
        except VaultrError as error:
            if isinstance(error, Refused | IntegrityError) and not isinstance(error, NotFound):
                raise
            self._notify_once(error)
            return False
        self._last_notice = ""
        return False

    def _content(self) -> bytes:
        text = filled(self._file.template, self._vaultr.resolver().value)
        return text.encode(errors="backslashreplace")

    def _is_current(self, content: bytes) -> bool:
        """Check whether the file is private and already has this content."""
        path = self._file.path
        try:
            found = path.lstat()
            private = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600
            return private and found.st_size == len(content) and path.read_bytes() == content
        except OSError:
            return False

    def _write(self, content: bytes) -> None:
        save(self._file.path, content, force=True)
        self._notify(f"Wrote {self._file.path}.")
        if self._file.command is not None and (code := self._run_shell(self._file.command)) != 0:
            self._notify(f"The command of --exec ended with {_outcome(code)}.")

    def _run_shell(self, command: str) -> int:
        """Run a shell command without tokens and without input; return its exit code."""
        self._is_starting_command = True
        with subprocess.Popen(  # nosec B603 # its user names the command
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            env=build_environment({}, os.environb),
        ) as process:
            try:
                self._is_starting_command = False
                if self._is_stopped:
                    raise SystemExit(0)
                return process.wait()
            except BaseException:  # SIGTERM or Ctrl-C
                process.terminate()
                try:
                    process.wait(_TERMINATION_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise

    def _notify_once(self, error: VaultrError) -> None:
        notice = str(error) or type(error).__name__
        if notice != self._last_notice:
            self._notify(f"{self._file.path} is unchanged: {notice}")
        self._last_notice = notice

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOCK_POLL_SECONDS))
            if last_lock_of(self._vaultr) != self._locked_before:
                raise Locked("This device was locked, so the watch ended.")


def _outcome(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"
