"""A proxy to a real server; a test chooses its response to ending a session."""

import contextlib
import http.client
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

ENDS = "/api/v1/auth/sessions/"
SET_HERE = ("Connection", "Transfer-Encoding", "Content-Length")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.command == "DELETE" and self.path.startswith(ENDS):
            self.server.between.ends.append(self.path.removeprefix(ENDS))
            if self.server.between.act is not None:
                self.close_connection = True
                with contextlib.suppress(OSError):  # otherwise the client waits indefinitely
                    self.server.between.act(self.connection)
                return
        self._pass_on()

    def do_POST(self):
        self.do_GET()

    def do_PUT(self):
        self.do_GET()

    def do_DELETE(self):
        self.do_GET()

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        between = self.server.between
        upstream = http.client.HTTPConnection(between.netloc_of(self.path), timeout=30)
        with contextlib.closing(upstream):
            stored = {k: v for k, v in self.headers.items() if k not in ("Host", "Connection")}
            upstream.request(self.command, self.path, body or None, stored)
            answer = upstream.getresponse()
            data = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name not in (*SET_HERE, between.hidden_header):
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 16


class LogoutProxy:
    """A proxy in front of the server at ``url``.

    ``ends`` lists the sessions that clients asked to end; ``act(connection)``, if set, responds to
    such a request instead of the server.
    """

    def __init__(self, url):
        self.netloc = urlsplit(url).netloc
        self.ends = []
        self.act = None
        self.hidden_header = None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.between = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def netloc_of(self, path):
        """Return the server that handles a path."""
        return self.netloc

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
