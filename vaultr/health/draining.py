"""Whether this server is about to stop: a flag that the master raises and every worker sees."""

import mmap

# One byte of anonymous shared memory, made before the workers are forked.
_flag = mmap.mmap(-1, 1)


def begin() -> None:
    """Say that no new requests should be sent here."""
    _flag[0] = 1


def begun() -> bool:
    """Tell whether the server is draining."""
    return bool(_flag[0])
