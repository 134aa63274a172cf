"""Looks again and again whether the variables of a running command have changed.

It is a process of its own, started as ``python -P -m vaultr.client.run.watcher``: so the
process that passes on the command's output and signals never waits for a server, and holds no key.
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
from vaultr.client.run.environment import Gathered, Wish, gather, resolved
from vaultr.client.run.key_handoff import lent, resumed, taken_back
from vaultr.client.run.supervisor import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vaultr.client.vaultr_client import Vaultr

EVERY_SECONDS: Final = 10.0
# While the server is away it is asked less and less often, up to this.
_SELDOM_SECONDS: Final = 120.0
# How soon it hears that the owner locked the device.
_LOOK_SECONDS: Final = 1.0
_LINE_BYTES: Final = 64 * 1024 * 1024


class Seen(TypedDict):
    """What was found for a wish, and for the references around it."""

    variables: dict[str, str]
    secrets: list[str]
    references: dict[str, str]


def seen(found: Gathered, references: dict[str, str]) -> Seen:
    """Put together what can be compared, and sent to another process."""
    return {
        "variables": found.variables,
        "secrets": list(found.secrets),
        "references": references,
    }


class Watcher:
    """The way to the process that looks for changes.

    :param references: by the names of the variables that are to hold what they name.
    :param last: what the command has now.
    :param build: makes an environment of what was found.
    :param tell: says something to the user.
    """

    def __init__(
        self,
        vaultr: "Vaultr",
        wish: Wish,
        references: "Mapping[str, str]",
        *,
        last: Seen,
        every_seconds: float,
        build: "Callable[[Seen], Environment]",
        tell: "Callable[[str], None]",
    ) -> None:
        self._build = build
        self._tell = tell
        handed = lent(vaultr.device) | {
            "wish": asdict(wish),
            "references": dict(references),
            "last": last,
            "every_seconds": every_seconds,
        }
        # -P: no module of the present folder can take the place of one of the library's.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vaultr.client.run.watcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(handed).encode() + b"\n")
            self._process.stdin.flush()
        self._rest = b""

    @property
    def fd(self) -> int | None:
        """Where it is heard of; None when nothing will come any more."""
        out = self._process.stdout
        return None if out is None or out.closed else out.fileno()

    def next(self) -> Environment | None:
        """Take what was said: a new environment, or something to tell."""
        out, following = self._process.stdout, None
        if out is None:
            return None
        data = os.read(out.fileno(), 65536)
        if not data:
            out.close()
            self._tell("Changes are not looked for any more.")
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "told" in said:
                self._tell(said["told"])
            else:
                following = self._build(said)
        return following

    def close(self) -> None:
        """Let it end; it notes the heads that it saw, and nobody waits for that."""
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.close()


def _look(vaultr: "Vaultr", handed: "Mapping[str, Any]") -> Seen:
    kept = dict(handed["wish"])
    files = tuple((name, values) for name, values in kept["files"])
    wish = Wish(
        **{**kept, "files": files, **{n: tuple(kept[n]) for n in ("sets", "only", "allow")}}
    )
    found = gather(vaultr, wish, offline=False)
    return seen(found, resolved(handed["references"], vaultr.resolver(offline=True)))


def main() -> None:
    """Look until the starter closes its end; say a line of JSON for each change."""
    memory_protection.guard(for_good=True)
    handed = json.loads(sys.stdin.buffer.readline(_LINE_BYTES))
    with resumed(handed) as vaultr:
        handed.pop("account_key")
        _watch(vaultr, handed)


def _watch(vaultr: "Vaultr", handed: "Mapping[str, Any]") -> None:
    last: Seen = handed["last"]
    told, pause = "", handed["every_seconds"]
    while _waited(vaultr, handed, pause):
        try:
            now = _look(vaultr, handed)
        except (ServerUnreachable, Unavailable, RateLimited):
            pause = max(pause, min(pause * 2, _SELDOM_SECONDS))
            continue
        except VaultrError as error:
            if str(error) != told:
                told = str(error)
                _say({"told": f"Looking for changes: {told}"})
            if isinstance(error, IntegrityError | Refused):
                return
            continue
        if now != last:
            _say(now)
        last, told, pause = now, "", handed["every_seconds"]


def _waited(vaultr: "Vaultr", handed: "Mapping[str, Any]", seconds: float) -> bool:
    """Wait; False when there is no more reason to: the starter is gone, or the owner locked."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([0], [], [], min(left, _LOOK_SECONDS))[0]:
            return False
        if taken_back(vaultr.device, handed):
            _say({"told": "This device was locked."})
            return False
    return True


def _say(what: "Mapping[str, Any]") -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
