"""Serve SSH keys over the agent protocol; a private key never leaves this process."""

import contextlib
import hmac
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vaultr.client.background.socket_peers import peer_uid
from vaultr.client.crypto.primitives import SshKey
from vaultr.client.errors import VaultrError

# Source: draft-ietf-sshm-ssh-agent, sections 5 and 6.
_FAILURE, _SUCCESS = 5, 6
_IDENTITIES, _IDENTITIES_ANSWER = 11, 12
_SIGN, _SIGNATURE = 13, 14
_REMOVE, _REMOVE_ALL, _LOCK, _UNLOCK = 18, 19, 22, 23
_MESSAGE_BYTES: Final = 256 * 1024
_CLIENT_SECONDS: Final = 60
_LOCK_TRY_SECONDS: Final = 1
_LENGTH: Final = struct.Struct(">I")


class SocketInUse(VaultrError):
    """Another agent serves this socket."""

    exit_code = 1


class _Malformed(Exception):
    """A message ends before its last field."""


@dataclass(slots=True)
class Identity:
    """One key that the agent offers."""

    key: SshKey = field(repr=False)
    comment: str


class SshAgent:
    """The keys, and what clients may do with them.

    :param confirm: called with the comment before each use of a key; None to use keys without
        asking.
    :param lifetime: seconds until the keys are forgotten; None keeps them.
    """

    def __init__(
        self,
        identities: list[Identity],
        *,
        confirm: Callable[[str], bool] | None = None,
        lifetime: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identities = identities
        self._confirm = confirm
        self._clock = clock
        self._until = None if lifetime is None else clock() + lifetime
        self._locked_by: bytes | None = None
        self._mutex = threading.Lock()

    def respond(self, message: bytes) -> bytes:
        """Return the response to one message; an unknown or malformed message is a failure."""
        try:
            with self._mutex:
                return self._respond(message)
        except (_Malformed, ValueError):
            return bytes([_FAILURE])

    def _respond(self, message: bytes) -> bytes:
        if self._until is not None and self._clock() >= self._until:
            self._identities.clear()
        kind, fields = message[:1], _Fields(message[1:])
        if kind == bytes([_LOCK]):
            return self._lock(fields.text())
        if kind == bytes([_UNLOCK]):
            return self._unlock(fields.text())
        if kind == bytes([_IDENTITIES]):
            return self._listed()
        if self._locked_by is not None:
            return bytes([_FAILURE])
        if kind == bytes([_SIGN]):
            return self._sign(fields.text(), fields.text(), fields.number())
        if kind == bytes([_REMOVE]):
            return self._remove(fields.text())
        if kind == bytes([_REMOVE_ALL]):
            self._identities.clear()
            return bytes([_SUCCESS])
        return bytes([_FAILURE])

    def _listed(self) -> bytes:
        shown = [] if self._locked_by is not None else self._identities
        body = b"".join(_text(each.key.public) + _text(each.comment.encode()) for each in shown)
        return bytes([_IDENTITIES_ANSWER]) + _LENGTH.pack(len(shown)) + body

    def _sign(self, public: bytes, data: bytes, flags: int) -> bytes:
        found = next((each for each in self._identities if each.key.public == public), None)
        if found is None:
            return bytes([_FAILURE])
        if self._confirm is not None and not self._confirm(found.comment):
            return bytes([_FAILURE])
        algorithm, signature = found.key.sign(data, flags)
        return bytes([_SIGNATURE]) + _text(_text(algorithm.encode()) + _text(signature))

    def _remove(self, public: bytes) -> bytes:
        left = [each for each in self._identities if each.key.public != public]
        removed = len(left) < len(self._identities)
        self._identities[:] = left
        return bytes([_SUCCESS if removed else _FAILURE])

    def _lock(self, passphrase: bytes) -> bytes:
        if self._locked_by is not None:
            return bytes([_FAILURE])
        self._locked_by = passphrase
        return bytes([_SUCCESS])

    def _unlock(self, passphrase: bytes) -> bytes:
        if self._locked_by is None or not hmac.compare_digest(self._locked_by, passphrase):
            time.sleep(_LOCK_TRY_SECONDS)
            return bytes([_FAILURE])
        self._locked_by = None
        return bytes([_SUCCESS])


class _Fields:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self) -> int:
        taken, self._data = self._data[:4], self._data[4:]
        if len(taken) < _LENGTH.size:
            raise _Malformed
        return int(_LENGTH.unpack(taken)[0])

    def text(self) -> bytes:
        size = self.number()
        taken, self._data = self._data[:size], self._data[size:]
        if len(taken) < size:
            raise _Malformed
        return taken


def _text(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen on a socket that only this user can reach; remove it at the end.

    :raises SocketInUse: another agent serves it.
    """
    if os.path.lexists(path):
        _check_abandoned(path)
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise VaultrError(f"{path}: {error.strerror or 'the path is too long'}") from None
    finally:
        os.umask(umask)
    inode = path.lstat().st_ino
    listener.listen(16)
    try:
        yield listener
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            if path.lstat().st_ino == inode:
                path.unlink()


def _check_abandoned(path: Path) -> None:
    if not path.is_socket():
        raise SocketInUse(f"{path} is not a socket, so it was not changed. Use another --socket.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
        except OSError:
            pass
    raise SocketInUse(f"Another agent serves {path}. Stop it, or use another --socket.")


def serve(agent: SshAgent, listener: socket.socket, stop: threading.Event) -> None:
    """Serve clients, each in a thread, until ``stop`` is set."""
    listener.settimeout(0.5)
    while not stop.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        threading.Thread(target=_serve_client, args=(agent, connection), daemon=True).start()


def _serve_client(agent: SshAgent, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        if peer_uid(connection) != os.getuid():
            return
        connection.settimeout(_CLIENT_SECONDS)
        while (message := _message(connection)) is not None:
            connection.sendall(_text(agent.respond(message)))


def _message(connection: socket.socket) -> bytes | None:
    """Return the next message; None at the end, or if it is truncated or too long."""
    head = _exactly(connection, _LENGTH.size)
    if head is None:
        return None
    (size,) = _LENGTH.unpack(head)
    return _exactly(connection, size) if 0 < size <= _MESSAGE_BYTES else None


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    received = bytearray()
    while len(received) < size:
        piece = connection.recv(min(size - len(received), 65_536))
        if not piece:
            return None
        received += piece
    return bytes(received)
