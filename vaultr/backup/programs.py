"""Run `pg_dump`, and `pg_restore` into `psql`. Passwords are never on a command line."""

import concurrent.futures
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa

from vaultr.backup.errors import NotConfigured, ProgramFailed
from vaultr.database import engine

_PIECE_BYTES: Final = 256 * 1024
_PACKAGE: Final = "Install Debian's postgresql-client-17, or the same programs of your system."
# PostgreSQL 17 introduced this setting, and its pg_restore sets it on older servers too.
_UNKNOWN_TO_OLDER: Final = b"SET transaction_timeout = 0;\n"
_BEGINNING_BYTES: Final = 64 * 1024
_VERSION: Final = re.compile(r"\) (\d+)")


@dataclass(frozen=True, slots=True)
class Address:
    """The server and database that libpq connects to.

    :ivar uri: without the password, because process lists are public.
    :ivar environ: with the password, if the URL has one.
    """

    uri: str
    environ: Mapping[str, str]

    @classmethod
    def of(cls, url: str, *, role: str | None = None) -> "Address":
        """Return the address of a database URL; ``role`` is the role to act as."""
        plain, _ = engine.split_url(url)
        password = sa.make_url(url).password
        parts = urlsplit(plain)
        user, at, host = parts.netloc.rpartition("@")
        parts = parts._replace(scheme="postgresql", netloc=f"{user.partition(':')[0]}{at}{host}")
        environ = {"PGAPPNAME": "vaultr-backup", "LC_ALL": "C"}
        if password is not None:
            environ["PGPASSWORD"] = str(password)
        if role is not None:
            environ["PGOPTIONS"] = f"-c role={role}"
        return cls(urlunsplit(parts), environ)


def check_version(server_version: int) -> None:
    """Check that `pg_dump` supports the server's version.

    :param server_version: as ``server_version_num``, such as 170005.
    :raises NotConfigured: a program is missing, or the server is newer.
    """
    result = subprocess.run([_find_program("pg_dump"), "--version"], capture_output=True, text=True)
    match = _VERSION.search(result.stdout)
    known, major = int(match[1]) if match else 0, server_version // 10_000
    if major > known:
        raise NotConfigured(
            f"The server is PostgreSQL {major}, but pg_dump is {known}, which cannot back up a"
            f" newer server. Install pg_dump, pg_restore and psql of version {major}."
        )


def _find_program(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise NotConfigured(f"The program {program} is not on PATH. {_PACKAGE}")
    return path


def dump(address: Address, snapshot: str) -> Generator[bytes, None, None]:
    """Dump the database from an exported snapshot, and yield the dump in chunks.

    Closing the generator ends the program.

    :raises ProgramFailed: with the last line of `pg_dump`'s messages.
    """
    command = [_find_program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges"]
    # Most of the dump is sealed data in hex: level 1 takes a third of the time of level 6.
    command += ["--compress=1"]
    command += [f"--snapshot={snapshot}", f"--dbname={address.uri}", "--no-password"]
    with _started(command, address, stdout=subprocess.PIPE) as (process, messages):
        output = _pipe(process.stdout)
        while piece := output.read(_PIECE_BYTES):
            yield piece
        _check("pg_dump", process, messages)


def dump_as_script(address: Address) -> Iterator[bytes]:
    """Dump the database as an uncompressed SQL script, in chunks.

    :raises ProgramFailed: with the last line of `pg_dump`'s messages.
    """
    command = [
        _find_program("pg_dump"),
        "--format=plain",
        f"--dbname={address.uri}",
        "--no-password",
    ]
    with _started(command, address, stdout=subprocess.PIPE) as (process, messages):
        output = _pipe(process.stdout)
        while piece := output.read(_PIECE_BYTES):
            yield piece
        _check("pg_dump", process, messages)


@contextlib.contextmanager
def unpacked(on_script: Callable[[bytes], object]) -> Iterator[Callable[[bytes], object]]:
    """Convert a dump to an SQL script; yield a function that takes the dump in chunks.

    :param on_script: receives the script in another thread, which ends with the block.
    :raises ProgramFailed: with the last line of `pg_restore`'s messages.
    """
    address = Address("", {"LC_ALL": "C"})
    command = [_find_program("pg_restore"), "--file=-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with _started(command, address, **pipes) as (process, messages):
        output = _pipe(process.stdout)

        def pass_on() -> None:
            while piece := output.read(_PIECE_BYTES):
                on_script(piece)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            passed = pool.submit(pass_on)
            try:
                with contextlib.suppress(BrokenPipeError):  # the exit code shows the reason
                    yield _pipe(process.stdin).write
            finally:  # otherwise the thread would wait for more input
                with contextlib.suppress(BrokenPipeError):
                    _pipe(process.stdin).close()
            passed.result()
        _check("pg_restore", process, messages)


class Loader:
    """`pg_restore` into `psql`, in one transaction: all of a dump, or nothing.

    `pg_restore` could connect itself, but fails on a server older than 17 (see above).
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Loader":
        command = [_find_program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        command += ["--output=/dev/null"]
        command += ["--no-password", f"--dbname={self._address.uri}"]
        try:
            self._psql, self._psql_messages = self._stack.enter_context(
                _started(command, self._address, stdin=subprocess.PIPE)
            )
            restore = [_find_program("pg_restore"), "--no-owner", "--no-privileges", "--file=-"]
            self._restore, self._restore_messages = self._stack.enter_context(
                _started(restore, self._address, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
        except BaseException:
            self._stack.close()
            raise
        self._pump = threading.Thread(target=self._pass_on, name="vaultr-restore", daemon=True)
        self._pump.start()
        return self

    def write(self, piece: bytes) -> None:
        """Forward the next chunk of the dump.

        :raises ProgramFailed: a program ended early; with the last line of its messages.
        """
        try:
            _pipe(self._restore.stdin).write(piece)
        except BrokenPipeError:
            self._finish()
            raise ProgramFailed("pg_restore ended early, and nothing is stored.") from None

    def finish(self) -> None:
        """Wait until everything is committed.

        :raises ProgramFailed: with the last line of a program's messages; nothing is stored.
        """
        self._finish()

    def _finish(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._restore.stdin).close()
        self._pump.join()
        # If psql fails, pg_restore stops too, so psql's message is the cause.
        _check("psql", self._psql, self._psql_messages)
        _check("pg_restore", self._restore, self._restore_messages)

    def _pass_on(self) -> None:
        source, target = _pipe(self._restore.stdout), _pipe(self._psql.stdin)
        # The script commits only after pg_restore has succeeded. If this process is killed, psql's
        # input ends without COMMIT.
        try:
            target.write(b"BEGIN;\n")
            beginning = b""
            while len(beginning) < _BEGINNING_BYTES and (piece := source.read(_BEGINNING_BYTES)):
                beginning += piece
            target.write(beginning.replace(_UNKNOWN_TO_OLDER, b"", 1))
            shutil.copyfileobj(source, target, _PIECE_BYTES)
            if self._restore.wait() == 0:
                target.write(b"COMMIT;\n")
            target.close()
        except OSError:
            source.close()

    def __exit__(self, *_error: object) -> None:
        for process in (self._restore, self._psql):
            if process.poll() is None:
                process.kill()
        self._pump.join()
        self._stack.close()


@contextlib.contextmanager
def _started(
    command: list[str], address: Address, **pipes: Any
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start a program that writes its messages to a file; end it with the block."""
    environ = {**os.environ, **address.environ}
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, env=environ, stderr=messages, **pipes)
        try:
            yield process, messages
        finally:
            if process.poll() is None:
                process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()


def _check(name: str, process: subprocess.Popen[bytes], messages: IO[bytes]) -> None:
    code = process.wait()
    if code == 0:
        return
    messages.seek(0)
    lines = [
        line for line in messages.read().decode("utf-8", "replace").splitlines() if line.strip()
    ]
    errors = [line for line in lines if "error" in line.lower()] or lines
    reason = errors[0].strip() if errors else f"exit code {code}"
    raise ProgramFailed(f"{name} failed: {reason}")


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # pragma: no cover - each is opened above
        raise RuntimeError("no pipe")
    return pipe
