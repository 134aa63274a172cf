"""A disk that can be filled and freed: a small one in memory, or a limit on file sizes."""

import contextlib
import os
import resource
import shutil
import subprocess

import psutil

PIECE = bytes(65536)


class SmallDisk:
    """A folder with limited space; ``mounted`` if it is a separate disk."""

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
        """Fill the disk; without a separate disk, keep these processes' files from growing."""
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
        # Their current children; later ones inherit the limit of their parents.
        for one in [one for each in self._limited for one in (each, *each.children(True))]:
            with contextlib.suppress(psutil.NoSuchProcess):
                _limit(one, size)


def _limit(process, size):
    """Limit the size of any file that a process writes.

    A process of another user is limited by a process of that user, because root may lack
    CAP_SYS_RESOURCE but can become that user, as when PostgreSQL was started.
    """
    owner = process.uids().real
    theirs = {"user": owner, "group": process.gids().real, "extra_groups": []}
    subprocess.run(
        ["true"],  # the required step has been done by then
        check=True,
        preexec_fn=lambda: _prlimit(process.pid, size),
        **({} if owner == os.getuid() else theirs),
    )


def _prlimit(process_id, size):
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(process_id, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
