"""Clients that send requests continuously, each on a persistent connection."""

import http.client
import ssl
import threading
import time

from tests.rollout.compose_processes import HOST

PATH = "/api/v1/openapi.json"
_ANY = ssl.create_default_context()
_ANY.check_hostname, _ANY.verify_mode = False, ssl.CERT_NONE


class Load:
    """``clients`` threads that send requests to an edge; ``failed`` lists failures."""

    def __init__(self, port, clients, *, path=PATH):
        self.responses = 0
        self.failed = []
        self._port, self._path = port, path
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send_until_done) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _send_until_done(self):
        connection = None
        while not self._done.is_set():
            reused = connection is not None
            connection = connection or self._connected()
            try:
                outcome = _status(connection, self._path)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = None
                # an edge may close an idle connection; browsers and our SDK then retry once
                if reused:
                    continue
                outcome = repr(error)
            with self._lock:
                self.responses += 1
                if outcome != 200:
                    self.failed.append(outcome)
            time.sleep(0.04)
        if connection is not None:
            connection.close()

    def _connected(self):
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=30, context=_ANY)


def _status(connection, path):
    connection.request("GET", path, headers={"Host": HOST})
    answer = connection.getresponse()
    answer.read()
    return answer.status
