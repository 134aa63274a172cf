"""Protect this process's memory from core dumps and from the user's other processes."""

import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_limits: dict[str, tuple[int, int]] = {}


def guard(*, for_good: bool = False) -> None:
    """Forbid core dumps and, on Linux, access to this memory by the user's other processes.

    :param for_good: also lower the hard limit, which cannot be undone.
    """
    _, hard = _limits.setdefault("core", resource.getrlimit(resource.RLIMIT_CORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0 if for_good else hard))
    if sys.platform == "linux":
        # Slow to import, and --help does not need it.
        import ctypes  # noqa: PLC0415 - late, see above

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def release() -> None:
    """Restore the limit for core dumps, for a program that replaces this process.

    Nothing else needs to be restored: exec makes the memory readable again.
    """
    if "core" in _limits:
        resource.setrlimit(resource.RLIMIT_CORE, _limits.pop("core"))
