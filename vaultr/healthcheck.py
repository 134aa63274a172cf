"""`python -m vaultr.healthcheck`: check a container from inside; exit code 0 means healthy.

With ``--worker`` it checks the heartbeat file that `flask worker` touches. With ``--api URL`` it
sends an API request as a user of ``URL`` (BASE_URL) would, to the server in this container or to
the server at ``--at ADDRESS``. `deploy/blue-green switch` and `helm test` use this.

It imports neither Flask nor a database driver, since a small container runs it every few seconds.
"""

import argparse
import http.client
import json
import os
import socket
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from vaultr.health import heartbeat
from vaultr.settings import loader

_EVERYWHERE: Final = {"", "0.0.0.0", "[::]"}  # nosec B104 - compared with, never listened on
SECONDS: Final = 3
API_SECONDS: Final = 10
_PORT: Final = 3000
_LOOPBACK: Final = "127.0.0.1"
_HOPS: Final = 8


def main() -> int:
    """Check the server or the worker in this container, and write problems to stderr.

    :return: the exit code: 0, or 1 without a 200 response within 3 s, or without a recent
        heartbeat.
    """
    parser = argparse.ArgumentParser(prog="python -m vaultr.healthcheck", description=__doc__)
    parser.add_argument("--worker", action="store_true", help="Check the worker")
    parser.add_argument(
        "--api", metavar="URL", nargs="?", const="", help="Send an API request as a user of URL"
    )
    parser.add_argument("--at", metavar="ADDRESS", help="Server to send it to, as http://HOST:PORT")
    options = parser.parse_args()
    if options.worker:
        return _worker()
    return _server() if options.api is None else _api(options.api, options.at)


def _api(url: str, at: str | None) -> int:
    """Request login parameters of an unknown address, which uses proxy, limits and database."""
    if not url:
        settings, _ = loader.read(os.environ, {"BASE_URL"})
        url = settings.get("BASE_URL", "")
    user, server = urlsplit(url), urlsplit(at or "")
    host, port = (server.hostname, server.port or 80) if server.hostname else _own_address()
    if not server.hostname and host == _LOOPBACK and os.environ.get("BIND") != host:
        host = _network_address()
    headers = {
        "Host": user.netloc,
        "Content-Type": "application/json",
        # TRUSTED_PROXIES can require at most this many hops.
        "X-Forwarded-Proto": ", ".join([user.scheme] * _HOPS),
        "X-Forwarded-For": ", ".join([_LOOPBACK] * _HOPS),
    }
    body = json.dumps({"email": "healthcheck@vaultr.invalid"})
    return _check(host, port, "POST", "/api/v1/auth/prelogin", body, headers, API_SECONDS)


def _worker() -> int:
    settings, _ = loader.read(os.environ, {"VAULTR_HOME"})
    age = heartbeat.age_seconds(Path(settings.get("VAULTR_HOME", "var")))
    if age is not None and age < heartbeat.DEAD_SECONDS:
        return 0
    why = "no worker has started" if age is None else f"the worker was last seen {age:.0f} s ago"
    print(why, file=sys.stderr)  # noqa: T201 - for `docker inspect`
    return 1


def _server() -> int:
    host, port = _own_address()
    return _check(host, port, "GET", "/api/health", None, {}, SECONDS)


def _network_address() -> str:
    """Return this container's network address: TRUSTED_PROXIES may include it, but not loopback."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return _LOOPBACK


def _check(
    host: str,
    port: int,
    method: str,
    path: str,
    body: str | None,
    headers: dict[str, str],
    seconds: int,
) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request(method, path, body, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(f"no response: {error}", file=sys.stderr)  # noqa: T201 - for `docker inspect`
        return 1
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        print(f"answered {status}", file=sys.stderr)  # noqa: T201 - for `docker inspect`
    return int(status != http.HTTPStatus.OK)


def _own_address() -> tuple[str, int]:
    settings, _ = loader.read(os.environ, {"PORT", "BIND"})
    return _address(settings.get("BIND", ""), int(settings.get("PORT", _PORT)))


def _address(bind: str, port: int) -> tuple[str, int]:
    """Return the address to connect to: loopback if the server listens on all addresses."""
    host, colon, own = (
        bind.rpartition(":") if bind.rpartition("]")[2].count(":") == 1 else (bind, "", "")
    )
    return (_LOOPBACK if host in _EVERYWHERE else host.strip("[]")), int(own) if colon else port


if __name__ == "__main__":
    sys.exit(main())
