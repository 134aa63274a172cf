"""Helpers for both ends of the agent's socket: the peer's user id, and reading one line."""

import socket
import struct
from typing import Final

REQUEST_BYTES: Final = 4096


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process at the other end of a Unix socket."""
    if hasattr(socket, "SO_PEERCRED"):
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", packed)[1])
    # macOS and the BSDs: struct xucred {version, uid, …} through LOCAL_PEERCRED at level 0.
    packed = connection.getsockopt(0, 1, 76)
    return int(struct.unpack_from("2I", packed)[1])


def read_line(connection: socket.socket) -> bytes:
    """Read up to a newline, the end, or 4096 bytes."""
    received = b""
    while not received.endswith(b"\n") and len(received) <= REQUEST_BYTES:
        piece = connection.recv(REQUEST_BYTES)
        if not piece:
            break
        received += piece
    return received
