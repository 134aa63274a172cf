"""A device that runs `vaultr`: its own home folder, no terminal, secrets through pipes."""

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys

from tests.harness import forked_programs
from tests.harness.runtime_folder import RuntimeFolder

PASSWORD = "a master password for tests"
PROGRAM = (
    sys.executable,
    "-c",
    "import sys; from vaultr.client.cli import main; sys.exit(main())",
)
NOBODY = "http://127.0.0.1:9"  # the discard port, where nothing listens


class Device:
    """One home folder, and the commands that run in it."""

    def __init__(self, home, url, email="ann@example.org", password=PASSWORD):
        self.home = home
        self.runtime = RuntimeFolder()
        self.email = email
        self.password = password
        self.program = PROGRAM
        self.forks = True  # except in tests that measure the start of a command
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "VAULTR_DIR": str(home / "vaultr"),
            "VAULTR_URL": url,
            "VAULTR_AGENT": "off",
            "XDG_RUNTIME_DIR": self.runtime.path,
        }
        home.mkdir(mode=0o700, exist_ok=True)

    def with_agent(self):
        """Return this device with an agent, which is the default for users."""
        other = copy.copy(self)
        other.environ = {**self.environ, "VAULTR_AGENT": "on"}
        return other

    def types(self, *words, password=True, secret_key=None, stdin="", env=(), also=()):
        """Run the command to its end; return exit code, stdout and stderr as text.

        :param also: more secrets, by the option for their descriptor.
        """
        descriptors, words = [], list(words)
        cut = words.index("--") if "--" in words else len(words)
        secrets = {"--password-fd": self.password if password is True else password}
        secrets |= {"--secret-key-fd": secret_key, **dict(also)}
        for option, secret in secrets.items():
            if secret:
                descriptors.append(pipe(secret))
                words[cut:cut] = [option, str(descriptors[-1])]
        command = [*self.program, *words]
        more = {"env": {**self.environ, **dict(env)}, "pass_fds": descriptors, "timeout": 120}
        try:
            if self.forks:
                return forked_programs.run(command, stdin=stdin, **more)
            return subprocess.run(
                command,
                input=stdin, capture_output=True, text=True, start_new_session=True, **more,
            )  # fmt: skip
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def done(self, *words, **more):
        """Run a command that must succeed, and return its stdout."""
        result = self.types(*words, **more)
        assert result.returncode == 0, (words, result.returncode, result.stdout, result.stderr)
        return result.stdout

    def run_json(self, *words, **more):
        """Run a command that must succeed, and return its JSON output."""
        return json.loads(self.done(*words, "--json", **more))

    def fails(self, code, *words, **more):
        """Run a command that must exit with ``code`` and print nothing on stdout; return stderr."""
        result = self.types(*words, **more)
        assert result.returncode == code, (words, result.returncode, result.stdout, result.stderr)
        assert result.stdout == ""
        return result.stderr


class Job(Device):
    """A CI job: a token, no account; ``folder`` is where it may store its sealed copies."""

    def __init__(self, home, url, token, *, folder=False):
        super().__init__(home, url)
        del self.environ["VAULTR_AGENT"]
        self.environ["VAULTR_TOKEN"] = token
        if not folder:
            del self.environ["VAULTR_DIR"]

    def types(self, *words, **more):
        return super().types(*words, **{"password": None, **more})


def pipe(secret):
    """Return a descriptor from which ``secret`` and a newline can be read once."""
    reading, writing = os.pipe()
    os.write(writing, secret.encode() + b"\n")
    os.close(writing)
    return reading


@contextlib.contextmanager
def started(device, *words, program=PROGRAM):
    """Run a command in the background until the block ends."""
    with forked_programs.start(
        [*program, *words],
        env=device.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
