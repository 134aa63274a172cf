"""What both ends of the unlock process's socket need: who the other is, and one line from it."""

import socket
import struct
from typing import Final

REQUEST_BYTES: Final = 4096


def peer_uid(connection: socket.socket) -> int:
    """Tell which user is at the other end of a Unix socket; -1 where the system cannot say."""
    if hasattr(socket, "SO_PEERCRED"):
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", packed)[1])
    # macOS and the BSDs: struct xucred {version, uid, …} through LOCAL_PEERCRED at level 0.
    packed = connection.getsockopt(0, 1, 76)
    return int(struct.unpack_from("2I", packed)[1])


def read_line(connection: socket.socket) -> bytes:
    """Read up to one newline, or the end, or more than anyone has reason to send."""
    received = b""
    while not received.endswith(b"\n") and len(received) <= REQUEST_BYTES:
        piece = connection.recv(REQUEST_BYTES)
        if not piece:
            break
        received += piece
    return received
