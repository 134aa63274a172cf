"""Run `vaultr`, `flask` and gunicorn in forks of processes that have imported them.

Such a program has a process, a session, an environment and descriptors of its own, as one that is
typed. It saves the start of an interpreter and the imports, a second for a server, and the second
derivation of a key: the first is stored, by password, salt and cost.
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
# Python and the linker read these at their start, and libraries when they are imported: a fork
# cannot obey them.
READ_EARLY = ("PYTHON", "LC_", "LD_", "LANG", "TZ", "OTEL_", "PROMETHEUS_", "GUNICORN_")
# Python adds this to its own environment, where nothing names a locale.
ADDED = {"LC_CTYPE": "C.UTF-8"}
ON_TERMINAL = (
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
FOLDER = "TEST_FORKS"  # where the processes that fork listen, if they serve all of a run
KINDS = ("vaultr", "server")
START_SECONDS = 300  # beside much else the imports take minutes
_lock = threading.Lock()


def kind_of(words, environ, folder=None, *, code_of=None):
    """Return the kind of process whose fork behaves as a new program would; None if none does."""
    words = [str(word) for word in words]
    if any(name.startswith(READ_EARLY) and ADDED.get(name) != environ[name] for name in environ):
        return None
    if words[:2] == [sys.executable, "-c"]:
        return "vaultr" if "vaultr.client" in words[2] else code_of
    if words[0] == f"{BIN}/vaultr":
        return "vaultr"
    if Path(folder or ".").resolve() != ROOT:  # elsewhere another app would be found
        return None
    program = words[2] if words[:2] == [sys.executable, "-m"] else words[0].removeprefix(f"{BIN}/")
    # With a port of metrics gunicorn has others: its processes share them, by files.
    forks = program == "flask" or (program == "gunicorn" and "METRICS_PORT" not in environ)
    return "server" if forks else None


def own_environ():
    """Return the environment of this process without what a fork cannot obey."""
    return {name: each for name, each in os.environ.items() if not name.startswith(READ_EARLY)}


def run(words, *, stdin="", timeout=None, **more):
    """Run a program to its end, as ``subprocess.run`` does; return its output as text."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start(words, text=True, **pipes, **more) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout)
        except BaseException:  # as `subprocess.run`: nothing is left behind
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def start(words, *, env, cwd=None, code_of=None, **more):
    """Start a program in a session of its own, as ``subprocess.Popen`` does.

    By a fork where one behaves as a new process would.

    :param code_of: the kind of process that runs it, if it is Python code.
    """
    kind = kind_of(words, env, cwd, code_of=code_of)
    if kind is None:
        return subprocess.Popen(words, env=env, cwd=cwd, start_new_session=True, **more)
    return Fork(kind, words, env=env, cwd=cwd, **more)


def start_on_terminal(words, terminal, environ):
    """Start a program whose standard streams are ``terminal``, which becomes its session's."""
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    kind = kind_of(words, environ)
    if kind is None:
        words = [sys.executable, "-c", ON_TERMINAL, *words]
        return subprocess.Popen(words, env=environ, start_new_session=True, **streams)
    return Fork(kind, words, terminal=True, env=environ, **streams)


class Fork(subprocess.Popen):
    """A fork of a process that has imported a program, as if it were a child of this process.

    :param kind: what the process has imported.
    :param terminal: its standard streams are a terminal, which becomes that of its session.
    """

    def __init__(self, kind, words, *, terminal=False, **more):
        self._kind = kind
        self._terminal = terminal
        super().__init__(words, **more)

    def _execute_child(
        self, args, _executable, _preexec, _close, pass_fds, cwd, env, _info, _flags, _shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_more,
    ):  # fmt: skip
        """Ask for a fork instead of a child; return when it has its session."""
        given = zip((p2cread, c2pwrite, errwrite), fork_server.STANDARD, strict=True)
        standard = [own if wanted == -1 else wanted for wanted, own in given]
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
        with self._fork:  # closing it makes the other side forget the process
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
    """Start the processes that fork for all processes of a run."""
    with tempfile.TemporaryDirectory(prefix="vaultr-forks-", ignore_cleanup_errors=True) as folder:
        stops = [_started(folder, kind) for kind in KINDS]
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]
            for stop in stops:
                stop()


def connected(kind):
    """Return a connection to the process that forks for programs of a kind."""
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
    atexit.register(_started(folder.name, kind))
    return folder.name


def _started(folder, kind):
    """Start the process that forks for a kind, which ends with this one; return what stops it."""
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
