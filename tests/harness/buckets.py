"""An S3 server that is no mock: `rclone serve s3`, whose buckets are folders."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from tests.harness import servers
from tests.harness.timing import until
from vaultr.backup.errors import LocationFailed

KEY, SECRET = "backup-access-key", "backup-secret-key"


def command(port, folder, *more):
    """Return the command that serves a folder."""
    program = Path(sys.executable).with_name("rclone")
    command = [str(program), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    return [*command, "--auth-key", f"{KEY},{SECRET}", *map(str, more), str(folder)]


@contextlib.contextmanager
def serving(folder, *more):
    """Serve a folder, whose folders are the buckets; return the port."""
    port = servers.free_port()
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with subprocess.Popen(
        command(port, folder, *more), env=environ, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield port
        finally:
            process.terminate()


def environ(endpoint):
    """Return the variables by which boto3 finds the server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def use(endpoint, monkeypatch):
    """Make boto3 in this process use the server."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    for name, value in environ(endpoint).items():
        monkeypatch.setenv(name, value)


def wait_until_listed(bucket):
    """Wait until the server has started; return the backups in a bucket."""

    def listed():
        with contextlib.suppress(LocationFailed):
            return (bucket.list(),)  # an empty list is found, too
        return None

    return until(listed)[0]
