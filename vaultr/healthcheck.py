"""`python -m vaultr.healthcheck`: a container asks itself whether it answers; 0 says yes.

It imports neither Flask nor a database, since a small container runs it every few seconds.
"""

import http.client
import os
import sys
from typing import Final

from vaultr import environ

_EVERYWHERE: Final = {"", "0.0.0.0", "[::]"}  # nosec B104 - compared with, never listened on
SECONDS: Final = 3
_PORT: Final = 3000


def main() -> int:
    """Ask `/api/health` of the server in this container, and say on stderr what is wrong.

    :return: the exit code: 0, or 1 when it does not answer 200 within 3 s.
    """
    given, _ = environ.read(os.environ, {"PORT", "BIND"})
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
