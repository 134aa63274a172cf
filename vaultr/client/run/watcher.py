"""Watch the variables of a running command for changes.

The watcher is a separate process, started as ``python -P -m vaultr.client.run.watcher``, so that
the process that forwards output and signals never waits for a server and holds no key.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, TypedDict

from vaultr.client.background import memory_protection
from vaultr.client.errors import (
    IntegrityError,
    RateLimited,
    Refused,
    ServerUnreachable,
    Unavailable,
    VaultrError,
)
from vaultr.client.run.environment import (
    EnvironmentSpec,
    ResolvedEnvironment,
    resolve_environment,
    resolve_references,
)
from vaultr.client.run.key_handoff import export_access, open_access, was_locked_since
from vaultr.client.run.supervisor import ChildEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vaultr.client.vaultr_client import Vaultr

# While the server is unreachable, the interval doubles up to this value.
_MAX_INTERVAL_SECONDS: Final = 120.0
# How quickly the watcher notices that the user locked the device.
_LOCK_POLL_SECONDS: Final = 1.0
_MAX_LINE_BYTES: Final = 64 * 1024 * 1024


class ResolvedVariables(TypedDict):
    """The resolved variables of a specification, and of the inherited references."""

    variables: dict[str, str]
    secrets: list[str]
    references: dict[str, str]


def snapshot(resolved: ResolvedEnvironment, references: dict[str, str]) -> ResolvedVariables:
    """Return a snapshot, which can be compared and sent to another process."""
    return {
        "variables": resolved.variables,
        "secrets": list(resolved.secrets),
        "references": references,
    }


class Watcher:
    """Starts the watcher process, and reads changes from it.

    :param references: inherited references by variable name.
    :param last: the snapshot with which the command runs now.
    :param build: builds an environment from a snapshot.
    :param notify: prints a message for the user.
    """

    def __init__(
        self,
        vaultr: "Vaultr",
        spec: EnvironmentSpec,
        references: "Mapping[str, str]",
        *,
        last: ResolvedVariables,
        every_seconds: float,
        build: "Callable[[ResolvedVariables], ChildEnvironment]",
        notify: "Callable[[str], None]",
    ) -> None:
        self._build = build
        self._notify = notify
        job = export_access(vaultr) | {
            "spec": asdict(spec),
            "references": dict(references),
            "last": last,
            "every_seconds": every_seconds,
        }
        # -P: modules in the current folder cannot replace those of the library.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vaultr.client.run.watcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        self._partial_line = b""

    @property
    def fd(self) -> int | None:
        """Return the file descriptor to select on; None if nothing more will come."""
        out = self._process.stdout
        return None if out is None or out.closed else out.fileno()

    def next(self) -> ChildEnvironment | None:
        """Read messages; return a new environment if one arrived."""
        out, environment = self._process.stdout, None
        if out is None:
            return None
        data = os.read(out.fileno(), 65536)
        if not data:
            out.close()
            self._notify("Stopped watching for changes.")
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "notice" in message:
                self._notify(message["notice"])
            else:
                environment = self._build(message)
        return environment

    def close(self) -> None:
        """Close the pipes, so that the process stores the heads that it has seen and exits."""
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.close()


def main() -> None:
    """Watch until the parent closes its end of the pipe; print one line of JSON for each change."""
    memory_protection.guard(for_good=True)
    job = json.loads(sys.stdin.buffer.readline(_MAX_LINE_BYTES))
    with open_access(job) as vaultr:
        job.pop("account_key", None)
        job.pop("token", None)
        _watch(vaultr, job)


def _watch(vaultr: "Vaultr", job: "Mapping[str, Any]") -> None:
    last: ResolvedVariables = job["last"]
    last_notice, pause = "", job["every_seconds"]
    while _wait(vaultr, job, pause):
        try:
            current = _take_snapshot(vaultr, job)
        except (ServerUnreachable, Unavailable, RateLimited):
            pause = max(pause, min(pause * 2, _MAX_INTERVAL_SECONDS))
            continue
        except VaultrError as error:
            if str(error) != last_notice:
                last_notice = str(error)
                _send({"notice": f"Watching for changes: {last_notice}"})
            if isinstance(error, IntegrityError | Refused):
                return
            continue
        if current != last:
            _send(current)
        last, last_notice, pause = current, "", job["every_seconds"]


def _take_snapshot(vaultr: "Vaultr", job: "Mapping[str, Any]") -> ResolvedVariables:
    fields = dict(job["spec"])
    files = tuple((name, values) for name, values in fields["files"])
    lists = {name: tuple(fields[name]) for name in ("sets", "only", "allow")}
    spec = EnvironmentSpec(**{**fields, "files": files, **lists})
    resolved = resolve_environment(vaultr, spec, offline=False)
    return snapshot(resolved, resolve_references(job["references"], vaultr.resolver(offline=True)))


def _wait(vaultr: "Vaultr", job: "Mapping[str, Any]", seconds: float) -> bool:
    """Wait; return False if the parent has ended or the user has locked the device."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([0], [], [], min(left, _LOCK_POLL_SECONDS))[0]:
            return False
        if was_locked_since(vaultr, job):
            _send({"notice": "This device was locked."})
            return False
    return True


def _send(message: "Mapping[str, Any]") -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
