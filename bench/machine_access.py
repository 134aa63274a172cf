"""Machines that read and poll, compared with the baseline and with a session."""

import json
import os
from collections.abc import Callable
from uuid import uuid4

from bench import load
from bench.installation import Installation
from bench.load import Connection, request
from bench.world import Vault, sealed
from vaultr.protocol.encoding import b64

CONNECTIONS = 8
MACHINES = 200
# A worker reads each machine once an hour. After this many requests nearly all workers have cached
# it.
KNOWN_TO_ALL = 4


class MachineAccess:
    """Machine cases. All machines hold the keys of one vault."""

    def __init__(self, installation: Installation, vault: Vault, seconds: float) -> None:
        self._installation, self._vault, self._seconds = installation, vault, seconds
        self._headers: list[dict[str, str]] = []

    def polls(self, baseline_rate: Callable[[], float]) -> float:
        """Compare 200 machines that poll and find nothing new with the baseline's read."""
        path = f"/api/v1/vaults/{self._vault.id}"
        requested = [request("GET", path, headers) for headers in self._machines()]
        answers = [self._answer(request) for request in requested * KNOWN_TO_ALL]
        known = {"If-None-Match": f'"{json.loads(answers[0])["head"]}"'}
        path += f"/sync?since={self._vault.n}"
        polls = [request("GET", path, {**headers, **known}) for headers in self._machines()]
        parts = [polls[first::CONNECTIONS] for first in range(CONNECTIONS)]
        seen = load.run(self._installation.site.port, parts, seconds=self._seconds)
        return seen.rate(304) / baseline_rate()

    def _answer(self, requested: bytes) -> bytes:
        """Send a request on a new connection, which any worker may accept."""
        connection = Connection(self._installation.site.port)
        try:
            return connection.ask(requested)[1]
        finally:
            connection.close()

    def item_reads(self, session_reads: list[list[bytes]]) -> float:
        """Compare reads of one item by a machine with the same reads by a session."""
        base, headers = f"/api/v1/vaults/{self._vault.id}/items", self._machines()[0]
        requested = [request("GET", f"{base}/{item}", headers) for item in self._vault.items]
        port = self._installation.site.port
        by_session = load.run(port, session_reads, seconds=self._seconds)
        by_machine = load.run(port, [requested] * CONNECTIONS, seconds=self._seconds)
        return by_machine.rate(200) / by_session.rate(200)

    def _machines(self) -> list[dict[str, str]]:
        """Return the headers of all machines; the first call creates the machines."""
        while len(self._headers) < MACHINES:
            machine_id, key = str(uuid4()), b64(os.urandom(32))
            grant = {
                "vault_id": str(self._vault.id),
                "rights": "read",
                "keys": [{"generation": 1, "sealed_key": b64(sealed(104))}],
            }
            body = {
                "id": machine_id,
                "name": "bench",
                "auth_key": key,
                "sealed_kek": b64(sealed(32)),
                "expires_at": "2100-01-01T00:00:00Z",
                "vaults": [grant],
            }
            self._vault.account.post("/api/v1/machines", body)
            self._headers.append({"Authorization": f"Bearer vma_{machine_id}_{key}"})
        return self._headers
