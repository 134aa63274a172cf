"""Keeps what this process has in memory from core files and from the user's other processes."""

import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_limits: dict[str, tuple[int, int]] = {}


def guard(*, for_good: bool = False) -> None:
    """Forbid core files and, on Linux, that processes of the same user read this memory.

    :param for_good: nobody will ask for the limit of core files again.
    """
    _, hard = _limits.setdefault("core", resource.getrlimit(resource.RLIMIT_CORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0 if for_good else hard))
    if sys.platform == "linux":
        # Slow to import, and --help needs none of this.
        import ctypes  # noqa: PLC0415 - late, see above

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def release() -> None:
    """Give back the limit of core files, for a program that takes this one's place.

    The rest needs no undoing: another program can be read again from its start.
    """
    if "core" in _limits:
        resource.setrlimit(resource.RLIMIT_CORE, _limits.pop("core"))
