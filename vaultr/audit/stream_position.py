"""The last line of the stream, in a file beside the signer's state.

It is written after each line, without a flush to disk. It survives a killed process; after a power
failure, more lines may be marked as possible repetitions.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vaultr.audit import state_file

Place = tuple[int, int]  # tree and index

_BYTES: Final = 256  # one write, so that readers never see a partial position


@dataclass(frozen=True, slots=True)
class Position:
    """The last line written, and the batches that it may belong to, newest last."""

    batches: tuple[str, ...]
    place: Place


class PositionFile:
    """The open file. Without a file, `read` returns None and `write` does nothing.

    :raises OSError: by each method, if the file cannot be read or written.
    """

    def __init__(self, handle: int | None) -> None:
        self._handle = handle

    def read(self) -> Position | None:
        """Return the position, or None if the file is empty."""
        if self._handle is None:
            return None
        try:
            found = json.loads(os.pread(self._handle, _BYTES, 0))
            epoch, index = map(int, found["place"])
            return Position(tuple(map(str, found["batches"])), (epoch, index))
        except (KeyError, TypeError, ValueError):
            return None

    def write(self, position: Position) -> None:
        """Replace the position."""
        if self._handle is not None:
            text = json.dumps({"batches": position.batches, "place": position.place})
            os.pwrite(self._handle, text.ljust(_BYTES - 1).encode() + b"\n", 0)


def path() -> Path | None:
    """Return the path of the file; None if this process has no state file."""
    state = state_file.path()
    return None if state is None else state.with_name(f"{state.name}.stream")


@contextlib.contextmanager
def opened() -> Iterator[PositionFile]:
    """Open the file and lock it, if this process has a state file.

    :raises BlockingIOError: another process, possibly a paused one, has the lock.
    """
    where = path()
    if where is None:
        yield PositionFile(None)
        return
    handle = os.open(where, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield PositionFile(handle)
    finally:
        os.close(handle)
