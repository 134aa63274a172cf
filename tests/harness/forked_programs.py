"""Run `vaultr`, `flask` and gunicorn in forks of processes that have imported them.

Such a program has its own process, session, environment and descriptors, like one that a shell
starts. This saves the start of the interpreter and the imports (a second for a server). It also
saves repeated key derivations: each key is cached by password, salt and cost.
"""

import atexit
import contextlib
import functools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.harness import fork_server
from tests.harness.timing import until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# Python and the dynamic linker read these at their start, and libraries at their import, so they
# have no effect in a fork.
READ_EARLY = ("PYTHON", "LC_", "LD_", "LANG", "TZ", "OTEL_", "PROMETHEUS_", "GUNICORN_")
# Python adds this to its own environment if no variable names a locale.
SET_BY_PYTHON = {"LC_CTYPE": "C.UTF-8"}
ON_TERMINAL = (
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
# The variable with the folder of the sockets, if all processes of a run share the fork servers.
FOLDER = "TEST_FORKS"
KINDS = ("vaultr", "server")
START_SECONDS = 300  # on a busy machine the imports take minutes
_lock = threading.Lock()


def kind_of(words, environ, folder=None, *, code_of=None):
    """Return the kind of fork server for a program, or None if it needs a new process."""
    words = [str(word) for word in words]
    if any(
        name.startswith(READ_EARLY) and SET_BY_PYTHON.get(name) != environ[name] for name in environ
    ):
        return None
    if words[:2] == [sys.executable, "-c"]:
        return "vaultr" if "vaultr.client" in words[2] else code_of
    if words[0] == f"{BIN}/vaultr":
        return "vaultr"
    if Path(folder or ".").resolve() != ROOT:  # another folder may contain another app
        return None
    program = words[2] if words[:2] == [sys.executable, "-m"] else words[0].removeprefix(f"{BIN}/")
    # With a metrics port, the processes of gunicorn share metrics through files.
    forks = program == "flask" or (program == "gunicorn" and "METRICS_PORT" not in environ)
    return "server" if forks else None


def own_environ():
    """Return the environment of this process without variables that have no effect in a fork."""
    return {name: each for name, each in os.environ.items() if not name.startswith(READ_EARLY)}


def run(words, *, stdin="", timeout=None, **more):
    """Run a program to its end, like ``subprocess.run``; return its output as text."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start(words, text=True, **pipes, **more) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout)
        except BaseException:  # like `subprocess.run`: leave no process behind
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def start(words, *, env, cwd=None, code_of=None, **more):
    """Start a program in its own session, like ``subprocess.Popen``; fork if possible.

    :param code_of: the kind of fork server to use if the program is Python code.
    """
    kind = kind_of(words, env, cwd, code_of=code_of)
    if kind is None:
        return subprocess.Popen(words, env=env, cwd=cwd, start_new_session=True, **more)
    return Fork(kind, words, env=env, cwd=cwd, **more)


def start_on_terminal(words, terminal, environ):
    """Start a program with ``terminal`` as its standard streams and controlling terminal."""
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    kind = kind_of(words, environ)
    if kind is None:
        words = [sys.executable, "-c", ON_TERMINAL, *words]
        return subprocess.Popen(words, env=environ, start_new_session=True, **streams)
    return Fork(kind, words, terminal=True, env=environ, **streams)


class Fork(subprocess.Popen):
    """A fork of a fork server, used like a child of this process.

    :param kind: the kind of fork server.
    :param terminal: whether standard input is a terminal, to be the controlling one.
    """

    def __init__(self, kind, words, *, terminal=False, **more):
        self._kind = kind
        self._terminal = terminal
        super().__init__(words, **more)

    def _execute_child(
        self, args, _executable, _preexec, _close, pass_fds, cwd, env, _info, _flags, _shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_more,
    ):  # fmt: skip
        """Request a fork instead of a child; return when it has its own session."""
        pairs = zip((p2cread, c2pwrite, errwrite), fork_server.STANDARD, strict=True)
        standard = [own if wanted == -1 else wanted for wanted, own in pairs]
        umask = os.umask(0o077)
        os.umask(umask)
        request = {
            "words": [os.fspath(each) for each in args],
            "environ": dict(env),
            "folder": os.fspath(cwd or os.getcwd()),
            "umask": umask,
            "terminal": self._terminal,
            "descriptors": [*fork_server.STANDARD, *pass_fds],
        }
        self._fork = connected(self._kind)
        try:
            fork_server.send(self._fork, request, [*standard, *pass_fds])
            self.pid = fork_server.receive(self._fork)
            self._child_created = True
        finally:
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    def _try_wait(self, flags):
        """Return its id and its status once it has ended; 0 for both if it still runs."""
        if flags & os.WNOHANG and not select.select([self._fork], [], [], 0)[0]:
            return 0, 0
        with self._fork:  # closing it makes the fork server reap the process
            code = fork_server.receive(self._fork)
        return self.pid, -code if code < 0 else code << 8

    def _internal_poll(self, *_more, **_values):
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                ended, status = self._try_wait(os.WNOHANG)
                if ended:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


@contextlib.contextmanager
def for_all_processes():
    """Start fork servers that all processes of a test run share."""
    with tempfile.TemporaryDirectory(prefix="vaultr-forks-", ignore_cleanup_errors=True) as folder:
        stops = [_start_server(folder, kind) for kind in KINDS]
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]
            for stop in stops:
                stop()


def connected(kind):
    """Return a connection to the fork server of a kind."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _lock:
        folder = os.environ.get(FOLDER) or _own_folder(kind)
    until(lambda: _connects(connection, f"{folder}/{kind}"), within=START_SECONDS)
    return connection


def _connects(connection, address):
    try:
        connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


@functools.cache
def _own_folder(kind):
    folder = tempfile.TemporaryDirectory(prefix="vaultr-forks-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    atexit.register(_start_server(folder.name, kind))
    return folder.name


def _start_server(folder, kind):
    """Start the fork server of a kind; return a function that stops it."""
    process = subprocess.Popen(
        [sys.executable, fork_server.__file__, folder, kind],
        env={"PATH": os.environ["PATH"]},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )

    def stop():
        process.stdin.close()
        process.wait()

    return stop
