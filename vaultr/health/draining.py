"""Draining: a flag that the master sets before the server stops, and that every worker sees."""

import mmap

# One byte of anonymous shared memory, created before the workers are forked.
_flag = mmap.mmap(-1, 1)


def start() -> None:
    """Set the flag: no new requests should be sent here."""
    _flag[0] = 1


def started() -> bool:
    """Check whether the server is draining."""
    return bool(_flag[0])
