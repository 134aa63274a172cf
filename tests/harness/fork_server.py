"""Import a program, then fork for each request: the fork becomes the program.

`forked_programs` starts this program and sends it requests. It imports no test code.
"""

import atexit
import contextlib
import fcntl
import gc
import hashlib
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import sys
import termios
import threading
from pathlib import Path

FIRST_SPARE_DESCRIPTOR = 512
STANDARD = (0, 1, 2)
# Each fork imports these again: the first reads the environment, the second allocates memory that
# the processes of one server share.
RELOADED_IN_FORK = ("gunicorn.config", "vaultr.health.draining")
_LENGTH = struct.Struct("!Q")


def send(connection, value, descriptors=()):
    """Send a value as JSON, and file descriptors with it."""
    body = json.dumps(value).encode()
    header = _LENGTH.pack(len(body))
    if descriptors:
        socket.send_fds(connection, [header], descriptors)
    else:
        connection.sendall(header)
    connection.sendall(body)


def receive(connection):
    """Receive a value that was sent without descriptors."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return json.loads(_exactly(connection, length))


def _exactly(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("the process that runs programs has ended")
        data += piece
    return data


def serve(address):
    """Fork for each request until standard input ends; return the command line in each fork."""
    # A shell that starts the tests in the background makes them ignore these signals.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no process waits for these forks
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"{address}.new")
    listener.listen(64)
    os.rename(f"{address}.new", address)
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if listener not in readable:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _become_program(connection)
        connection.close()


def _become_program(connection):
    """Fork once more: return in the program; the other process waits and sends its exit code."""
    header, descriptors, _, _ = socket.recv_fds(connection, _LENGTH.size, FIRST_SPARE_DESCRIPTOR)
    request = json.loads(_exactly(connection, _LENGTH.unpack(header)[0]))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process_id = os.fork()
    if process_id:
        for descriptor in descriptors:
            os.close(descriptor)
        _report_end(connection, process_id)
    os.setsid()
    send(connection, os.getpid())
    connection.detach()
    _install_descriptors(dict(zip(request["descriptors"], descriptors, strict=True)))
    if request["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(request["folder"])
    os.umask(request["umask"])
    os.environ.clear()
    # Python sets this at its start if no variable names a locale.
    os.environ.update({"LC_CTYPE": "C.UTF-8", **request["environ"]})
    return request["words"]


def _report_end(connection, process_id):
    """Send the exit code; the process keeps its id until the code was read, like any child."""
    ended = os.waitid(os.P_PID, process_id, os.WEXITED | os.WNOWAIT)
    code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    with contextlib.suppress(OSError):
        send(connection, code)
        connection.recv(1)
    os._exit(0)


def _install_descriptors(wanted):
    """Move each descriptor to its number, close all others, and open the standard streams again."""
    spare = {
        number: fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_SPARE_DESCRIPTOR)
        for number, descriptor in wanted.items()
    }
    os.closerange(0, FIRST_SPARE_DESCRIPTOR)
    for number, descriptor in spare.items():
        os.dup2(descriptor, number, inheritable=True)
        os.close(descriptor)
    sys.stdin = sys.__stdin__ = os.fdopen(0, errors="surrogateescape", closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", errors="surrogateescape", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)


def derived_once(derive, folder):
    """Return ``derive`` with a cache that stores each derived key in a file."""

    def stored(password, salt, kdf, length=32):
        inputs = hashlib.sha256(repr((password, salt, kdf, length)).encode()).hexdigest()
        file = folder / inputs
        with contextlib.suppress(FileNotFoundError):
            return file.read_bytes()
        key = derive(password, salt, kdf, length)
        partial = folder / f"{inputs}.{os.getpid()}"
        partial.write_bytes(key)
        partial.rename(file)  # atomically, because commands derive keys in parallel
        return key

    return stored


def import_client(folder):
    """Import all of the client."""
    client = importlib.import_module("vaultr.client")
    for module in pkgutil.walk_packages(client.__path__, "vaultr.client."):
        importlib.import_module(module.name)
    importlib.import_module("zxcvbn")  # commands import it only for a new password
    primitives = importlib.import_module("vaultr.client.crypto.primitives")
    primitives.argon2id = derived_once(primitives.argon2id, folder)


def import_server(folder):
    """Import what `flask` and gunicorn import before they read the settings."""
    for name in ("flask.cli", "flask_migrate.cli", "vaultr.app", "vaultr.gunicorn_hooks"):
        importlib.import_module(name)


IMPORTS = {"vaultr": import_client, "server": import_server}


def run(words):
    """Run a program like the Python interpreter: from code, a module or a file."""
    for name in RELOADED_IN_FORK:
        if name in sys.modules:
            importlib.reload(sys.modules[name])
    if words[0] != sys.executable:
        sys.path[0] = os.path.dirname(words[0])
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
    elif words[1] == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *words[3:]]
        exec(compile(words[2], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path[0] = os.getcwd()
        sys.argv = words[2:]
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)


def exit_as_python(program):
    """Run a program and exit like Python, but without destroying its modules.

    That would take longer than most commands, because it writes to every page that forks share.
    """
    code = 0
    try:
        program()
    except SystemExit as ended:
        code = ended.code or 0
        if not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
            code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = 120  # Python's exit code if output cannot be written
    os._exit(code & 0xFF)


if __name__ == "__main__":
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    sys.path[0] = os.getcwd()  # instead of the folder of this file
    IMPORTS[kind](folder)
    gc.freeze()
    words = serve(str(folder / kind))
    exit_as_python(lambda: run(words))
