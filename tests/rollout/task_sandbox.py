"""Run a command like an ECS task: its user, a read-only root, and its own volumes.

Mounts are created in a namespace of the process, which needs root and `unshare` of util-linux.
"""

import shlex
import subprocess
import sys
from pathlib import Path

from tests.harness import server_programs
from tests.rollout import tools

# Paths of programs that the tests run; the task's user may not be able to reach them.
PROGRAMS = (Path(sys.base_prefix), tools.ROOT)
# The volumes of a task replace these.
REPLACED = (Path("/tmp"), Path("/mnt"), Path("/var/lib"))
# The kernel rejects this while a program writes there, such as an early health check.
READ_ONLY = "n=0; until mount -o remount,ro,bind /; do n=$((n + 1)); [ $n -lt 50 ]; sleep 0.1; done"
AS_TASK = [
    "setpriv", "--reuid", "10001", "--regid", "10001", "--clear-groups", "--bounding-set", "-all",
    "--inh-caps", "-all", "--no-new-privs",
]  # fmt: skip


def _closed(path):
    """Return the first folder above ``path`` that the task's user cannot enter, or None."""
    above = [*reversed(path.parents)]
    closed = [one for one in above if not one.stat().st_mode & 0o001 or one in REPLACED]
    return closed[0] if closed else None


def _mounts(volumes):
    """Return the commands that mount the root of a task."""
    lines = ["set -e", "mount --make-rprivate /", "mount -t tmpfs none /mnt"]
    # Volumes first: the programs may lie in a folder that a volume replaces.
    places = {Path(target): source for target, source in volumes.items()}
    places |= {path: path for path in PROGRAMS if _closed(path)}
    for number, source in enumerate(places.values()):
        lines += [f"mkdir /mnt/{number}", f"mount --bind {shlex.quote(str(source))} /mnt/{number}"]
    hidden = {_closed(path) for path in PROGRAMS} - {None, Path("/mnt")}
    for folder in sorted(hidden | {Path("/tmp"), Path("/var/lib")}):
        mode = "1777" if folder == Path("/tmp") else "755"
        lines.append(f"mount -t tmpfs -o mode={mode} none {shlex.quote(str(folder))}")
    for number, target in enumerate(places):
        quoted = shlex.quote(str(target))
        lines += [f"mkdir -p {quoted}", f"mount --bind /mnt/{number} {quoted}"]
        if target in PROGRAMS:
            lines.append(f"mount -o remount,ro,bind {quoted}")
    lines += [f"mount -o remount,ro {shlex.quote(str(one))}" for one in hidden - {Path("/tmp")}]
    lines += ["mount -o remount,ro /var/lib", READ_ONLY]
    return "\n".join(lines)


def environment(**values):
    """Return an environment with the PATH of the image, using this machine's paths."""
    programs = [Path(sys.executable).parent, server_programs.postgres_clients()]
    path = ":".join(map(str, [*programs, "/usr/bin", "/bin", "/usr/sbin", "/sbin"]))
    return {"PATH": path, "HOME": "/tmp", **values}


def command(words, volumes):
    """Return the command that runs ``words`` as a task, with folders of this machine as volumes."""
    inside = (
        f'{_mounts(volumes)}\ncd {shlex.quote(str(tools.ROOT))}\nexec {shlex.join(AS_TASK)} "$@"'
    )
    return ["unshare", "--mount", "sh", "-c", inside, "sh", *words]


def run(words, environ, *, volumes=None):
    """Run a task to its end."""
    return subprocess.run(
        command(words, volumes or {}), env=environ, capture_output=True, text=True
    )


def start(words, environ, out, *, volumes=None):
    """Start a task that runs until it is stopped."""
    return subprocess.Popen(
        command(words, volumes or {}), env=environ, stdout=out, stderr=out, start_new_session=True
    )


def run_beside(process, words, environ):
    """Run a command in the container of a running task, like its health check."""
    within = ["nsenter", "--mount", "--target", str(process.pid), f"--wd={tools.ROOT}"]
    return subprocess.run(
        [*within, *AS_TASK, *words], env=environ, capture_output=True, text=True, cwd="/"
    )
