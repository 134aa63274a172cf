"""`python -m vaultr.healthcheck`: a container asks itself whether it works; 0 says yes.

With ``--worker`` it looks at the file that `flask worker` keeps touching.

It imports neither Flask nor a database, since a small container runs it every few seconds.
"""

import http.client
import os
import sys
from pathlib import Path
from typing import Final

from vaultr.health import heartbeat
from vaultr.settings import loader

_EVERYWHERE: Final = {"", "0.0.0.0", "[::]"}  # nosec B104 - compared with, never listened on
SECONDS: Final = 3
_PORT: Final = 3000


def main() -> int:
    """Ask the server or the worker in this container, and say on stderr what is wrong.

    :return: the exit code: 0, or 1 when it does not answer 200 within 3 s, or shows no life.
    """
    return _worker() if sys.argv[1:] == ["--worker"] else _server()


def _worker() -> int:
    given, _ = loader.read(os.environ, {"VAULTR_HOME"})
    age = heartbeat.age_seconds(Path(given.get("VAULTR_HOME", "var")))
    if age is not None and age < heartbeat.DEAD_SECONDS:
        return 0
    said = "no worker has begun" if age is None else f"the worker was last seen {age:.0f} s ago"
    print(said, file=sys.stderr)  # noqa: T201 - for `docker inspect`
    return 1


def _server() -> int:
    given, _ = loader.read(os.environ, {"PORT", "BIND"})
    host, port = _address(given.get("BIND", ""), int(given.get("PORT", _PORT)))
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/api/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}", file=sys.stderr)  # noqa: T201 - for `docker inspect`
        return 1
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        print(f"answered {status}", file=sys.stderr)  # noqa: T201 - for `docker inspect`
    return int(status != http.HTTPStatus.OK)


def _address(bind: str, port: int) -> tuple[str, int]:
    """Give where to ask: what listens on all addresses is asked on the loopback."""
    host, colon, own = (
        bind.rpartition(":") if bind.rpartition("]")[2].count(":") == 1 else (bind, "", "")
    )
    return ("127.0.0.1" if host in _EVERYWHERE else host.strip("[]")), int(own) if colon else port


if __name__ == "__main__":
    sys.exit(main())
