"""Worker threads that serve client addresses in turn.

gunicorn hands requests to its threads in the order in which they arrive, so a client with thirty
connections makes everybody else wait behind its thirty requests. Here each client address has its
own queue, and a free thread takes the first request of the next queue.
"""

import re
import socket
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias

from vaultr.api import request_origin
from vaultr.settings.model import Settings

Job: TypeAlias = tuple["Future[Any]", Callable[[], Any]]

# Search only the first bytes of a request for X-Forwarded-For; proxies send this header early.
HEAD_BYTES: Final = 4096
_FORWARDED: Final = re.compile(rb"\r\nX-Forwarded-For:[ \t]*([^\r\n]*)(?=\r\n)", re.I)


class RotatingQueue:
    """One queue of jobs for each name; they take turns.

    After a job, its name goes to the end of the rotation, behind all other names with jobs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, deque[Job]] = OrderedDict()

    def add(self, name: str, job: Job) -> None:
        """Add a job to the end of the queue of that name."""
        with self._lock:
            self._jobs.setdefault(name, deque()).append(job)

    def take(self) -> Job:
        """Remove and return the next job. Call it only if a job is waiting."""
        with self._lock:
            name, jobs = self._jobs.popitem(last=False)
            job = jobs.popleft()
            if jobs:
                self._jobs[name] = jobs  # at the end
            return job


class FairThreads(ThreadPoolExecutor):
    """A thread pool that serves the names of its jobs in rotation.

    :param name_of: takes the arguments of `submit`, and returns the name of the queue.
    """

    def __init__(self, threads: int, name_of: Callable[..., str]) -> None:
        super().__init__(threads, "request")
        self._name_of = name_of
        self._turns = RotatingQueue()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Queue a function; a thread runs it when its turn comes."""
        future: Future[Any] = Future()
        self._turns.add(self._name_of(*args), (future, partial(function, *args, **kwargs)))
        super().submit(self._run_next)
        return future

    def _run_next(self) -> None:
        future, work = self._turns.take()
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - the future raises it
            future.set_exception(error)
        else:
            future.set_result(result)


def pool(threads: int, settings: Settings) -> FairThreads:
    """Return a pool for the connections of a gunicorn worker."""
    client_of = request_origin.client_finder(settings)
    forwards = bool(settings.trusted_proxies)

    def name_of(connection: Any) -> str:
        peer = connection.client[0] if isinstance(connection.client, tuple) else ""
        forwarded = _forwarded_for(connection.sock) if forwards else ""
        return request_origin.address_and_network(client_of(peer, forwarded))[0]

    return FairThreads(threads, name_of)


def _forwarded_for(connection: socket.socket) -> str:
    """Return the X-Forwarded-For of a request that has arrived, without consuming it.

    Use the result only to order requests: anything else must come from the parsed request.
    """
    with suppress(OSError):
        head = connection.recv(HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        head = head.partition(b"\r\n\r\n")[0] + b"\r\n"
        return ",".join(value.decode("latin-1") for value in _FORWARDED.findall(head))
    return ""
