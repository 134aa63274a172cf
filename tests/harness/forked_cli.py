"""Run `vaultr` commands in forks of one process that has imported the client.

A command has a process, a session, an environment and descriptors of its own, as one that is typed.
It saves the start of an interpreter and the imports, which take longer than most commands, and the
second derivation of a key: the first is stored, by password, salt and cost.
"""

import atexit
import contextlib
import fcntl
import functools
import gc
import hashlib
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

# Python reads these at its start, so a fork cannot obey them.
READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ")
FIRST_SPARE_DESCRIPTOR = 512
STANDARD = (0, 1, 2)
_LENGTH = struct.Struct("!Q")


def can_run(program, words, environ):
    """Check whether a fork behaves as a new process would: `run` replaces or supervises itself."""
    return (
        program[:-1] == (sys.executable, "-c")
        and words[:1] != ["run"]
        and not any(name.startswith(READ_AT_START) for name in environ)
    )


def run(program, words, *, environ, stdin, descriptors, timeout):
    """Run a command to its end, as ``subprocess.run`` does.

    :param program: Python, ``-c`` and the code that becomes `vaultr`.
    :param stdin: the text that it reads.
    :param descriptors: further descriptors, which keep their numbers.
    :raises subprocess.TimeoutExpired: it took longer than ``timeout`` seconds; it was killed.
    """
    pipes = [os.pipe() for _ in STANDARD]
    theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
    umask = os.umask(0o077)
    os.umask(umask)
    request = {
        "code": program[-1],
        "words": list(words),
        "environ": dict(environ),
        "folder": os.getcwd(),
        "umask": umask,
        "descriptors": [*STANDARD, *descriptors],
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(_server())
            _send(connection, request, [*theirs, *descriptors])
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        ours = [pipes[0][1], pipes[1][0], pipes[2][0]]
        text = [b"", b""]
        threads = [
            threading.Thread(target=_write, args=(ours[0], stdin.encode())),
            *(threading.Thread(target=_read, args=(ours[1 + n], text, n)) for n in range(2)),
        ]
        for thread in threads:
            thread.start()
        process_id = json.loads(_receive(connection))
        try:
            status = json.loads(_receive(connection))
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process_id, signal.SIGKILL)
            raise subprocess.TimeoutExpired(words, timeout) from None
        finally:
            for thread in threads:
                thread.join()
    stdout, stderr = (each.decode() for each in text)
    return subprocess.CompletedProcess(words, status, stdout, stderr)


def _write(descriptor, data):
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb") as pipe:
        pipe.write(data)


def _read(descriptor, args, number):
    with open(descriptor, "rb") as pipe:
        args[number] = pipe.read()


@functools.cache
def _server():
    """Start the process that forks, which ends with this one, and return its address."""
    folder = tempfile.TemporaryDirectory(prefix="vaultr-cli-")
    address = str(Path(folder.name) / "socket")
    process = subprocess.Popen(
        [sys.executable, __file__, address],
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )

    def stop():
        process.stdin.close()
        process.wait()
        process.stdout.close()
        folder.cleanup()

    atexit.register(stop)
    assert process.stdout.readline() == b"ready\n"
    return address


def _send(connection, what, descriptors=()):
    body = json.dumps(what).encode()
    header = _LENGTH.pack(len(body))
    if descriptors:
        socket.send_fds(connection, [header], descriptors)
    else:
        connection.sendall(header)
    connection.sendall(body)


def _receive(connection):
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return _exactly(connection, length)


def _exactly(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("the process that runs commands has ended")
        data += piece
    return data


def serve(address):
    """Fork for each request until standard input ends; return a command's code in its process."""
    # Whoever started the tests may have told them to ignore these; people's shells do not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a fork that has answered
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(64)
    os.write(1, b"ready\n")
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if listener not in readable:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.detach()  # a command closes all that it was not given
            return _become_command(connection)
        connection.close()


def _become_command(connection):
    """Fork once more: return in the command; the other process waits and sends its exit code."""
    header, descriptors, _, _ = socket.recv_fds(connection, _LENGTH.size, FIRST_SPARE_DESCRIPTOR)
    request = json.loads(_exactly(connection, _LENGTH.unpack(header)[0]))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process_id = os.fork()
    if process_id:
        for descriptor in descriptors:
            os.close(descriptor)
        _send(connection, process_id)
        _, status = os.waitpid(process_id, 0)
        with contextlib.suppress(OSError):
            _send(connection, os.waitstatus_to_exitcode(status))
        os._exit(0)
    connection.detach()
    os.setsid()
    _place(dict(zip(request["descriptors"], descriptors, strict=True)))
    os.chdir(request["folder"])
    os.umask(request["umask"])
    # Python adds this for programs that it starts, where nothing names a locale.
    os.environ.clear()
    os.environ.update({"LC_CTYPE": "C.UTF-8", **request["environ"]})
    sys.argv = ["-c", *request["words"]]
    return request["code"]


def _place(wanted):
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
    """Return ``derive``, which stores each key in a file and reads it when it is asked again."""

    def stored(password, salt, kdf, length=32):
        inputs = hashlib.sha256(repr((password, salt, kdf, length)).encode()).hexdigest()
        file = folder / inputs
        with contextlib.suppress(FileNotFoundError):
            return file.read_bytes()
        key = derive(password, salt, kdf, length)
        begun = folder / f"{inputs}.{os.getpid()}"
        begun.write_bytes(key)
        begun.rename(file)  # whole or not there: commands derive at the same time
        return key

    return stored


if __name__ == "__main__":
    sys.path[0] = ""  # as for `python -c`, not the folder of the helpers
    from vaultr import client
    from vaultr.client.crypto import primitives

    for module in pkgutil.walk_packages(client.__path__, "vaultr.client."):
        importlib.import_module(module.name)
    primitives.argon2id = derived_once(primitives.argon2id, Path(sys.argv[1]).parent)
    gc.freeze()
    exec(compile(serve(sys.argv[1]), "<string>", "exec"), {"__name__": "__main__"})
