"""A trace collector: receives OTLP over HTTP (protobuf) and stores the spans."""

import contextlib
import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span:
    """One span, in plain values."""

    def __init__(self, span, resource):
        self.name = span.name
        self.kind = span.kind
        self.trace, self.id, self.parent = (
            one.hex() for one in (span.trace_id, span.span_id, span.parent_span_id)
        )
        self.failed = span.status.code == 2
        self.attributes = _plain(span.attributes)
        self.resource = resource


def _plain(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class Collector:
    """The received spans, and the bytes of all requests with their headers."""

    def __init__(self):
        self._heard = []
        self.bodies = []
        self.rejecting = False

    @property
    def spans(self):
        return list(self._heard)

    def take(self, body):
        self.bodies.append(body)
        for whole in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _plain(whole.resource.attributes)
            self._heard += [Span(one, resource) for by in whole.scope_spans for one in by.spans]

    def wait_for(self, condition, seconds=20):
        """Wait until ``condition(spans)`` is true, and return the spans."""
        until = time.monotonic() + seconds
        while not condition(self.spans):
            assert time.monotonic() < until, [(one.name, one.attributes) for one in self.spans]
            time.sleep(0.05)
        return self.spans


@contextlib.contextmanager
def collecting():
    """Yield a running collector with its ``url``."""
    stored = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if not stored.rejecting:
                stored.take(body)
            self.send_response(503 if stored.rejecting else 200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stored.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield stored
        finally:
            server.shutdown()
            thread.join()
