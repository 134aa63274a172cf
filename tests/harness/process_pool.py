"""Run several processes at the same moment, each with its own clients of a real server."""

import contextlib
import http.client
import json
import multiprocessing
import threading
import traceback
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit
from uuid import UUID

PATIENCE_SECONDS = 120


@dataclass
class Reply:
    """A response with the members that tests read."""

    status_code: int
    headers: http.client.HTTPMessage
    data: bytes

    @property
    def text(self):
        return self.data.decode()

    @property
    def json(self):
        return json.loads(self.data)


@dataclass
class Remote:
    """A client that is logged in to a server and can be sent to another process."""

    url: str
    token: str = field(repr=False)
    account_id: UUID

    def get(self, path, **more):
        return self._ask("GET", path, **more)

    def post(self, path, **more):
        return self._ask("POST", path, **more)

    def put(self, path, **more):
        return self._ask("PUT", path, **more)

    def delete(self, path, **more):
        return self._ask("DELETE", path, **more)

    def lose(self, method, path, *, json, headers):
        """Send a request, and close the connection before the response arrives."""
        with contextlib.closing(self._connected()) as connection:
            self._send(connection, method, path, json, headers)

    def _ask(self, method, path, *, json=None, headers=None, query_string=None):
        if query_string:
            path += f"?{urlencode(query_string)}"
        with contextlib.closing(self._connected()) as connection:
            self._send(connection, method, path, json, headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())

    def _connected(self):
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_SECONDS)

    def _send(self, connection, method, path, body, headers):
        reported = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            reported["Content-Type"] = "application/json"
        connection.request(method, path, data, reported)


def together(work, arguments, *, threads=1):
    """Call ``work(*one)`` for each of ``arguments`` at the same moment; return all results.

    :param work: a function of a module, because a process finds it by its name.
    :param threads: how many calls share a process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, work.__module__])
    gate, answers = context.Barrier(len(arguments)), context.Queue()
    numbered = list(enumerate(arguments))
    shares = [numbered[at : at + threads] for at in range(0, len(numbered), threads)]
    processes = [
        context.Process(target=_work, args=(work, share, gate, answers)) for share in shares
    ]
    for process in processes:
        process.start()
    try:
        reported = dict(answers.get(timeout=PATIENCE_SECONDS) for _ in arguments)
    finally:
        for process in processes:
            process.join(PATIENCE_SECONDS)
    failed = [what for what, failed in reported.values() if failed]
    assert not failed, "\n".join(failed)
    return [reported[number][0] for number, _ in numbered]


def _work(work, share, gate, answers):
    callers = [threading.Thread(target=_call, args=(work, *one, gate, answers)) for one in share]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


def _call(work, number, arguments, gate, answers):
    try:
        gate.wait(PATIENCE_SECONDS)
        answers.put((number, (work(*arguments), False)))
    except BaseException:
        answers.put((number, (traceback.format_exc(), True)))
        raise
