"""Serve a WSGI app on a real socket for other processes."""

import threading

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.harness.servers import free_port


class Quiet(WSGIRequestHandler):
    """Does not log requests."""

    def log(self, *args):
        pass


class WsgiServer:
    """Serves ``app`` until it is closed, one request at a time.

    Afterwards its port stays reserved, so that a test can start another server there.
    """

    def __init__(self, app):
        self._server = make_server("127.0.0.1", free_port(), app, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
