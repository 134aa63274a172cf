"""An HTTP proxy that records every requested address and forwards to this machine."""

import contextlib
import http.client
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

HERE = ("localhost", "127.0.0.1")
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding"}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    """Forwards ``GET http://host/path``; records a tunnel (CONNECT) and rejects it."""

    def do_GET(self):
        self.server.requested.append(self.path)
        parts = urlsplit(self.path)
        if parts.hostname not in HERE:
            self.send_error(502)
            return
        with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=30)) as upstream:
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            stored = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            upstream.request("GET", path, headers=stored)
            answer = upstream.getresponse()
            data = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_CONNECT(self):
        self.server.requested.append(f"{self.command} {self.path}")
        with contextlib.suppress(BrokenPipeError):
            self.send_error(502)

    def do_POST(self):
        self.do_CONNECT()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def recording() -> Iterator[tuple[str, list[str]]]:
    """Yield a proxy's ``host:port``, and the list of the addresses requested so far."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.requested = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", server.requested
        finally:
            server.shutdown()
            thread.join()
