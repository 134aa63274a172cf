"""A proxy in front of moto that counts calls, returns AWS errors, or kills the caller."""

import contextlib
import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BARRIER_SECONDS = 120
READS = re.compile(r"Describe|List|Get|Head")
QUERY_ERROR = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
    "<Message>rejected by the test</Message></Error></ErrorResponse>"
)


class Proxy:
    """Forwards calls to moto; ``calls`` has their operations in order.

    ``errors`` has an AWS error code, and ``answers`` a whole response, by operation. ``successes``
    has the number of calls of an operation that work before its error. ``barriers`` has a barrier
    by operation: no call is forwarded until all callers have made it.
    """

    def __init__(self, port):
        self.moto = port
        self.calls = []
        self.errors = {}
        self.answers = {}
        self.successes = {}
        self.barriers = {}
        self.kill_at = None
        self.process = None
        self._lock = threading.Lock()

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    @property
    def changes(self):
        """Return the operations that change something, in order."""
        return [one for one in self.calls if not READS.match(one)]

    def error(self, operation):
        """Return the error code for this call, or None."""
        passed = self.calls.count(operation) <= self.successes.get(operation, 0)
        return None if passed else self.errors.get(operation)

    def kill(self, process, number, when):
        """Kill the process ``when`` ("before" or "after") it makes its change with this number."""
        self.process, self.kill_at = process, (number, when)

    def record(self, operation):
        """Record a call; return whether the process must be killed now, and how."""
        with self._lock:
            self.calls.append(operation)
            if self.kill_at is None or READS.match(operation):
                return None
            number, when = self.kill_at
            return when if len(self.changes) == number + 1 else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = self._operation(body)
        when = self.proxy.record(operation)
        if when == "before":
            self.proxy.process.kill()
            self.close_connection = True
            return
        if barrier := self.proxy.barriers.get(operation):
            barrier.wait(BARRIER_SECONDS)
        error = self.proxy.error(operation)
        answer = self.proxy.answers.get(operation)
        if answer:
            status, headers, answer = 200, [("Content-Type", "text/xml")], answer.encode()
        else:
            status, headers, answer = self._error(error) if error else self._forward_to_moto(body)
        if when == "after":
            self.proxy.process.kill()
            self.close_connection = True
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def __getattr__(self, name):
        """Handle every method in the same way."""
        if name.startswith("do_"):
            return self._forward
        raise AttributeError(name)

    def _operation(self, body):
        target = self.headers.get("X-Amz-Target")
        if target:
            return target.rpartition(".")[2]
        found = re.search(rb"(?:^|&)Action=(\w+)", body)
        if found:
            return found[1].decode()
        found = re.search(r"/operation/(\w+)", self.path)
        # Services with paths, such as the scheduler.
        return found[1] if found else f"{self.command.title()}{self.path.partition('?')[0]}"

    def _forward_to_moto(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.moto, timeout=300)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            skipped = {"content-length", "connection", "transfer-encoding", "date", "server"}
            headers = [one for one in answer.getheaders() if one[0].lower() not in skipped]
            return answer.status, headers, answer.read()

    def _error(self, code):
        if self.headers.get("X-Amz-Target"):
            text = json.dumps({"__type": code, "message": "rejected by the test"})
            return 400, [("Content-Type", "application/x-amz-json-1.1")], text.encode()
        return 400, [("Content-Type", "text/xml")], QUERY_ERROR.format(code=code).encode()

    def log_message(self, *_arguments):
        """Print nothing."""
