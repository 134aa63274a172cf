"""A memory limit for a server's processes, and their maximum memory."""

import contextlib
import time
import uuid
from pathlib import Path

import psutil

from tests.harness.threads import UntilEnd

# Folder, file with the limit, file with the maximum so far: cgroups of version 1, then of 2.
CGROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@contextlib.contextmanager
def limited(mib):
    """Yield a prefix that runs a command with a hard limit, or nothing without cgroups."""
    for root, limit in CGROUPS:
        group = root / f"vaultr-test-{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):
            group.mkdir()
            if not (group / limit).exists():
                group.rmdir()
                continue
            (group / limit).write_text(str(mib << 20))
            try:
                yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
            finally:
                _remove(group)
            return
    yield []


def _remove(group):
    for _ in range(100):
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)


class Memory(UntilEnd):
    """The maximum memory of a process and its children, counting shared pages once."""

    def __init__(self, pid, every=0.1):
        self.peak_mib = 0
        self._pid, self._every = pid, every
        super().__init__([self._look])

    def _look(self, done):
        while not done.wait(self._every):
            with contextlib.suppress(psutil.Error):
                parent = psutil.Process(self._pid)
                family = [parent, *parent.children(recursive=True)]
                total = sum(one.memory_full_info().pss for one in family)
                self.peak_mib = max(self.peak_mib, total >> 20)
