"""Start, query and end the agent of a client folder."""

import contextlib
import hashlib
import json
import os
import socket
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vaultr.client.background import detached_process
from vaultr.client.background.lifetime import Lifetime
from vaultr.client.background.socket_peers import peer_uid, read_line
from vaultr.protocol.encoding import b64, unb64_exactly

RESPONSE_SECONDS: Final = 3.0
_HOURS_FROM_MINUTES: Final = 120
# sun_path has 108 bytes on Linux and 104 on macOS, including the final NUL.
SOCKET_PATH_BYTES: Final = 100


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key that an agent holds.

    :ivar left: remaining seconds; None for until lock or logout.
    """

    left: float | None
    lifetime: Lifetime

    @property
    def text(self) -> str:
        """How long it is held, as text."""
        if self.left is None:
            return "until vaultr lock or vaultr logout"
        minutes = max(1, int(self.left) // 60)
        count = f"{minutes} more minute{'' if minutes == 1 else 's'}"
        if minutes >= _HOURS_FROM_MINUTES:
            count = f"{minutes // 60} h {minutes % 60} min more"
        return f"for {count}{'' if self.lifetime.idle_seconds is None else ' without use'}"

    def rest(self) -> Lifetime:
        """Return the remaining lifetime, for an agent that replaces this one."""
        if self.lifetime.total_seconds is None:
            return self.lifetime
        return replace(self.lifetime, total_seconds=self.left)


class AgentClient:
    """The client side of the agent that may hold the account key of the folder ``home``."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def account_key(self) -> bytes | None:
        """Return the account key; None if no agent holds one."""
        response = self._ask("key")
        try:
            return unb64_exactly(str(response["account_key"]), 32)
        except (KeyError, ValueError):
            return None

    def is_holding_key(self) -> bool:
        """Check whether an agent holds a key; this does not count as use."""
        return isinstance(self._ask("look").get("lifetime"), dict)

    def held(self) -> "HeldKey | None":
        """Return how long an agent still holds a key; None if none does."""
        response = self._ask("look")
        left, lifetime = response.get("left"), response.get("lifetime")
        if not isinstance(lifetime, dict):
            return None
        seconds = float(left) if isinstance(left, int | float) else None
        return HeldKey(seconds, Lifetime.from_json(lifetime))

    def end(self) -> None:
        """End the agent if it runs."""
        self._ask("lock")

    def replace_key(self, account_key: bytes, *, ca_file: Path | None = None) -> None:
        """If an agent runs, start one with another key, which ends when the old one would have."""
        held = self.held()
        if held is None:
            self.end()  # an agent of an earlier version may hold the old key
        else:
            self.start(account_key, held.rest(), ca_file=ca_file)

    def start(
        self,
        account_key: bytes,
        lifetime: Lifetime | None = None,
        *,
        ca_file: Path | None = None,
    ) -> bool:
        """Start an agent with ``account_key``; end the previous one.

        :param lifetime: by default until it is idle for 15 minutes or the terminal is closed.
        :param ca_file: certificate authorities for writing the profile at the end.
        :return: whether it holds the key now. If not, commands ask for the master password.
        """
        path = self._socket_path()
        if path is None or len(os.fsencode(path)) > SOCKET_PATH_BYTES:
            return False
        self.end()
        lifetime = lifetime or Lifetime.idle()
        start_with = {
            "socket": str(path),
            "home": str(self._home.resolve()),
            "ca_file": None if ca_file is None else str(ca_file.resolve()),
            "account_key": b64(account_key),
            "lifetime": lifetime.to_json(),
            "leader": _session_leader() if lifetime.with_terminal else None,
        }
        return detached_process.started("vaultr.client.sdk.agent_process", start_with)

    def _ask(self, operation: str) -> Mapping[str, object]:
        path = self._socket_path()
        if path is None:
            return {}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(RESPONSE_SECONDS)
            try:
                connection.connect(str(path))
                if peer_uid(connection) != os.getuid():
                    return {}
                connection.sendall(json.dumps({"op": operation}).encode() + b"\n")
                response = json.loads(read_line(connection))
            except (OSError, ValueError):
                return {}
        return response if isinstance(response, dict) else {}

    def _socket_path(self) -> Path | None:
        folder = _runtime_folder()
        name = hashlib.sha256(os.fsencode(self._home.resolve())).hexdigest()[:16]
        return None if folder is None else folder / f"{name}.sock"


def agent_allowed() -> bool:
    """Check whether the environment allows an agent; see ``VAULTR_AGENT``."""
    return os.environ.get("VAULTR_AGENT", "").lower() != "off" and hasattr(socket, "AF_UNIX")


def _runtime_folder() -> Path | None:
    """Return a folder that only this user can access; None if none can be created."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_private(Path(runtime)):
        folder = Path(runtime) / "vaultr"
    else:
        folder = Path(tempfile.gettempdir()) / f"vaultr-{os.getuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder if _is_private(folder) else None


def _is_private(folder: Path) -> bool:
    # lstat, because a link in a world-writable folder could lead anywhere.
    try:
        seen = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid() and not seen.st_mode & 0o077


def _session_leader() -> int | None:
    """Return the leader of the terminal's login session, with which the agent ends, or None."""
    leader = os.getsid(0)
    if leader == os.getpid():
        return None
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return None
    return leader
