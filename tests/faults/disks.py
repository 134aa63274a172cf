"""A disk that can be filled and freed: a small one in memory, or a limit on file sizes."""

import contextlib
import os
import resource
import shutil
import subprocess

import psutil

PIECE = bytes(65536)


class SmallDisk:
    """A folder with room for so much; ``mounted`` where it is its own disk."""

    def __init__(self, folder, megabytes):
        self.folder = folder
        folder.mkdir(mode=0o777)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "small"]
        self.mounted = shutil.which("mount") is not None and not subprocess.run(
            [*command, str(folder)], capture_output=True
        ).returncode  # fmt: skip
        self._filler = folder / "filler"
        self._limited = ()

    def remove(self):
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def fill(self, *processes):
        """Leave no room; without its own disk let these processes' files grow no more."""
        if self.mounted:
            for size in (len(PIECE), 512, 1):
                with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
                    while True:
                        file.write(PIECE[:size])
            return
        largest = max(one.stat().st_size for one in self.folder.rglob("*") if one.is_file())
        self._limited = processes
        self._limit(max(largest, 16 * 2**20) if len(processes) > 1 else largest)

    def make_room(self):
        if self.mounted:
            self._filler.unlink()
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size):
        # Their children as they are now: those made since have the limit of their parents.
        for one in [one for each in self._limited for one in (each, *each.children(True))]:
            with contextlib.suppress(psutil.NoSuchProcess):
                _limit(one, size)


def _limit(process, size):
    """Make a process write no further than so far into any file.

    Another user's is limited by a process of that user: root itself may lack the right to
    (CAP_SYS_RESOURCE), though it has the one to become that user, as PostgreSQL was started.
    """
    owner = process.uids().real
    theirs = {"user": owner, "group": process.gids().real, "extra_groups": []}
    subprocess.run(
        ["true"],  # what is wanted happens on the way there
        check=True,
        preexec_fn=lambda: _prlimit(process.pid, size),
        **({} if owner == os.getuid() else theirs),
    )


def _prlimit(process_id, size):
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(process_id, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
