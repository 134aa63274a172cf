"""Login and refresh, compared with the baseline and with argon2id alone."""

import json
from collections.abc import Callable

from bench import load
from bench.installation import Installation
from bench.load import request
from bench.world import Account

CONNECTIONS = 8
STORM = 16
_JSON = {"Content-Type": "application/json"}


def next_refresh(answer: bytes) -> bytes:
    """Return the request that refreshes with the token in the last response."""
    return refresh(json.loads(answer)["refresh_token"])


def refresh(token: str) -> bytes:
    """Return the request that refreshes with a token."""
    body = json.dumps({"refresh_token": token}).encode()
    return request("POST", "/api/v1/auth/refresh", _JSON, body)


class Signing:
    """Session cases. One account logs in as often as needed."""

    def __init__(self, installation: Installation, account: Account, seconds: float) -> None:
        self._installation, self._account, self._seconds = installation, account, seconds

    def refreshes(self, baseline_rate: Callable[[], float]) -> float:
        """Compare refreshes, each with the token of the previous one, with the baseline's read."""
        body = self._account.login()
        tokens = [
            self._account.post("/api/v1/auth/login", body)["refresh_token"]
            for _ in range(CONNECTIONS)
        ]
        requested = [[refresh(token)] for token in tokens]
        port = self._installation.site.port
        seen = load.run(port, requested, seconds=self._seconds, follow=next_refresh)
        if set(seen.statuses) != {200}:
            raise RuntimeError(f"the responses were {seen.statuses}, not 200")
        return seen.rate(200) / baseline_rate()

    def reads_in_a_storm(self, reads: list[list[bytes]]) -> float:
        """Compare the p99 of reads while others log in with the p99 of the same reads alone."""
        data = json.dumps(self._account.login()).encode()
        login = request("POST", "/api/v1/auth/login", _JSON, data)
        port = self._installation.site.port
        alone = load.run(port, reads, seconds=self._seconds)
        storm = load.with_background(
            lambda: load.run(port, reads, seconds=self._seconds),
            lambda: load.run(port, [[login]] * STORM, seconds=self._seconds + 1),
        )
        return storm.p99() / alone.p99()
