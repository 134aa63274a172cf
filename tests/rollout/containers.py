"""The real image, built by buildah and run by podman, if both and the base are available."""

import functools
import json
import os
import re
import resource
import shutil
import time
import uuid
from pathlib import Path

from tests.rollout import tools

LIMITS = ("--memory", "512m", "--memory-swap", "512m", "--cpus", "0.5", "--pids-limit", "256")
CLOSED = (
    "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
    "--security-opt", "no-new-privileges",
    "--tmpfs", "/tmp:rw,size=128m,mode=1777", "--tmpfs", "/dev/shm:rw,size=64m,mode=1777",
)  # fmt: skip


LOCAL = "localhost/vaultr-base:trixie"  # by deploy/tools/local-base


@functools.cache
def base():
    """Return the base image: ``ROLLOUT_BASE``, or else the local one, or else the Dockerfile's."""
    if name := os.environ.get("ROLLOUT_BASE"):
        return name
    if shutil.which("podman") and tools.run("podman", "image", "exists", LOCAL).returncode == 0:
        return LOCAL
    return re.search(r"^FROM (\S+)", (tools.ROOT / "Dockerfile").read_text(), re.M)[1]


@functools.cache
def missing():
    """Return why no image can be built here, or an empty text."""
    for program in ("buildah", "podman", "runc"):
        if shutil.which(program) is None:
            return f"{program} is not installed (deploy/tools/install --image)"
    if os.geteuid() != 0:
        return "building without an engine needs root"
    if tools.run("podman", "image", "exists", base()).returncode == 0:
        return ""
    pulled = tools.run("podman", "pull", "--quiet", base())
    return "" if pulled.returncode == 0 else f"the base image {base()} cannot be pulled"


def build(folder):
    """Build the image, and return its name."""
    name = f"localhost/vaultr:test-{uuid.uuid4().hex[:8]}"
    dockerfile = Path(folder, "Dockerfile")
    text = (tools.ROOT / "Dockerfile").read_text()
    dockerfile.write_text(re.sub(r"^FROM \S+", f"FROM {base()}", text, flags=re.M))
    done = tools.run(
        "buildah", "build", "--layers", "--pull=never", "--isolation", "chroot",
        "--network", "host", "--format", "docker", "--ignorefile", ".dockerignore", *_ulimits(),
        "--build-arg", "VERSION=0.0.0-test", "--build-arg", "REVISION=abc1234",
        "--file", str(dockerfile), "--tag", name, ".",
    )  # fmt: skip
    assert done.returncode == 0, tools.output_of(done)[-3000:]
    return name


def remove(name):
    """Delete an image."""
    tools.run("podman", "rmi", "--force", name)


def podman(*arguments):
    """Run podman like the pods: without systemd, with runc."""
    return tools.run("podman", "--runtime", "runc", "--cgroup-manager=cgroupfs", *arguments)


def once(image, *command, environ=None, volumes=None):
    """Run a command to its end in its own container, restricted as in a cluster.

    :param volumes: what is mounted from this machine, by its place in the container.
    """
    pairs = (volumes or {}).items()
    mounted = [part for at, path in pairs for part in ("--volume", f"{path}:{at}")]
    return podman("run", "--rm", "--pull=never", "--network", "host", *CLOSED, *LIMITS, *_ulimits(),
                  *_env(environ or {}), *mounted, image, *command)  # fmt: skip


def inspected(image):
    """Return the image's metadata."""
    return json.loads(tools.run("podman", "image", "inspect", image).stdout)[0]


class Container:
    """A container that keeps running."""

    def __init__(self, image, *command, environ):
        self.name = f"vaultr-test-{uuid.uuid4().hex[:8]}"
        done = podman("run", "--detach", "--name", self.name, "--pull=never", "--network", "host",
                      *CLOSED, *LIMITS, *_ulimits(), *_env(environ), image, *command)  # fmt: skip
        assert done.returncode == 0, tools.output_of(done)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        podman("rm", "--force", "--time", "1", self.name)

    def run(self, *command):
        return podman("exec", self.name, *command)

    def healthy(self, seconds=60):
        """Wait until its health check passes."""
        until = time.monotonic() + seconds
        while podman("healthcheck", "run", self.name).returncode != 0:
            assert time.monotonic() < until, podman("logs", self.name).stdout[-2000:]
            time.sleep(0.5)

    def stop(self):
        """Stop it gracefully; return its exit code, and whether it was killed for lack of
        memory.
        """
        podman("stop", "--time", "40", self.name)
        state = json.loads(podman("inspect", self.name).stdout)[0]["State"]
        return state["ExitCode"], state["OOMKilled"]


def _env(environ):
    return [part for name, value in environ.items() for part in ("--env", f"{name}={value}")]


def _ulimits():
    """Use the limits of this machine where the usual ones would be rejected."""

    kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    for name, kind in kinds.items():
        most = resource.getrlimit(kind)[1]
        yield "--ulimit"
        yield f"{name}={most}:{most}"
