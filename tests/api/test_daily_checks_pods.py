"""`flask ops daily` reads the metrics of every pod that a name resolves to."""

import http.server
import socket
import threading

import pytest

from vaultr.ops import daily_checks

NAME = "vaultr-blue-metrics"


class _Numbers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, count = self.server.counted
        self.send_response(200)
        self.end_headers()
        line = f'vaultr_requests_total{{method="GET",route="/x",status="{status}"}} {count}\n'
        self.wfile.write(line.encode())

    def log_message(self, *_args):
        pass


@pytest.fixture
def pods(monkeypatch, here):
    """``pods({address: (status, count)})`` starts them on one port and returns the URL."""
    servers = []

    def start(counted, silent=None):
        port = 0
        for address, numbers in counted.items():
            server = http.server.ThreadingHTTPServer((address, port), _Numbers)
            server.counted, port = numbers, server.server_port
            threading.Thread(target=server.serve_forever, daemon=True).start()
            servers.append(server)
            if address == silent:
                server.shutdown()
                server.server_close()
                servers.remove(server)
        usual = socket.getaddrinfo

        def resolve(host, *rest, **more):
            if host != NAME:
                return usual(host, *rest, **more)
            return [each for one in counted for each in usual(one, *rest, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return f"http://{NAME}:{port}/metrics"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _errors(url):
    checks = dict(daily_checks.checks(daily_checks.Sources("http://127.0.0.1:1", metrics=(url,))))
    return list(checks["errors"]())


def test_errors_of_all_pods_behind_a_name_are_counted(pods):
    url = pods({"127.0.0.1": (200, 60), "127.0.0.2": (500, 20), "127.0.0.3": (200, 20)})

    [found] = _errors(url)

    assert found.level == "problem"
    assert found.says == "20 of 100 responses were server errors"


def test_unreachable_pod_is_reported(pods):
    url = pods({"127.0.0.1": (200, 60), "127.0.0.2": (200, 60)}, silent="127.0.0.2")

    [found] = _errors(url)

    assert found.level == "problem"
    assert "no metrics" in found.says


def test_host_name_with_one_address_is_probed_by_name(pods):
    [found] = _errors(pods({"127.0.0.1": (200, 60)}))

    assert (found.level, found.says) == ("ok", "0 of 60 responses were server errors")


def test_unresolvable_name_is_reported(here):
    [found] = _errors("http://nothing.invalid:9464/metrics")

    assert (found.level, found.topic) == ("problem", "errors")
