"""Clients that send as many requests as a server accepts, over many connections.

``python -m tests.harness.abusers`` reads a plan (`Plan`, as JSON) from standard input and prints
how often each request got which status. It runs as a separate process with low priority, because on
another machine it would take no CPU time from the server.
"""

import http.client
import itertools
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from vaultr.protocol import entries
from vaultr.protocol.encoding import b64
from vaultr.protocol.sealed import OVERHEAD, padded_size

ROOT = Path(__file__).parents[2]
NICE = 10
PATIENCE_SECONDS = 120
READY = "ready\n"
# Name of a writer's requests: puts of about 60 KiB, and sometimes a batch of them.
ITEM_BYTES = 40_000
BATCH_EVERY, BATCH_CHANGES = 20, 150


@dataclass(frozen=True)
class Hostile:
    """A request to repeat; ``%uuid%``, ``%key%`` and ``%name%`` get new values each time.

    :ivar padding: spaces after the body, so that it has a size without being stored here.
    """

    method: str
    path: str
    body: str | None = None
    padding: int = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The requests of one abuser.

    :ivar tokens: access tokens of its sessions, used in turn; empty for an anonymous abuser.
    :ivar vaults: ``[vault id, account id]`` for each connection that only writes.
    """

    port: int
    address: str
    seconds: float
    requests: list[Hostile]
    connections: int = 32
    tokens: list[str] = field(default_factory=list)
    vaults: list[list[str]] = field(default_factory=list)


class Abuser:
    """The process that runs a plan."""

    def __init__(self, plan):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.abusers"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._process.stdin.write(json.dumps(asdict(plan)) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == READY

    def start(self):
        """Start sending."""
        self._process.stdin.close()

    def seen(self):
        """Wait for the end; return ``{(request, status): count}``, with 0 for lost connections."""
        with self._process.stdout as output:
            found = json.loads(output.read())
        assert self._process.wait(PATIENCE_SECONDS) == 0
        return Counter({(name, status): count for name, status, count in found})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """End the process if it still runs."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def main():
    os.nice(NICE)
    read = json.loads(sys.stdin.readline())
    sys.stdout.write(READY)
    sys.stdout.flush()
    sys.stdin.read()
    plan = Plan(**{**read, "requests": [Hostile(**one) for one in read["requests"]]})
    end, counts = time.monotonic() + plan.seconds, [Counter() for _ in range(plan.connections)]
    threads = [
        threading.Thread(target=_repeat, args=(plan, number, end, counts[number]))
        for number in range(plan.connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(counts, Counter())
    json.dump([[name, status, count] for (name, status), count in total.items()], sys.stdout)


def _repeat(plan, number, end, counts):
    """Send the requests of one connection until the end; a writer continues its log."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", plan.port, timeout=PATIENCE_SECONDS, source_address=(plan.address, 0)
    )
    token = {}
    if plan.tokens:
        token = {"Authorization": f"Bearer {plan.tokens[number % len(plan.tokens)]}"}
    if number < len(plan.vaults):
        source = _writes(*plan.vaults[number])
    else:
        source = _in_turn(plan.requests, number / plan.connections)
    status, left = (
        next(source),
        math.ceil(len(plan.requests) / (plan.connections - len(plan.vaults))),
    )
    while time.monotonic() < end or left > 0:  # every request was sent at least once
        left -= 1
        name, method, path, headers, body = source.send(status)
        status = _ask(connection, method, path, {**token, **headers}, body)
        counts[name, status] += 1
    connection.close()


def _ask(connection, method, path, headers, body):
    """Return the status of the response, or 0 if the connection was lost."""
    try:
        connection.request(method, path, body, headers)
        with connection.getresponse() as response:
            while response.read(1 << 20):
                pass
            return response.status
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0


def _in_turn(requests, part):
    """Yield all of ``requests`` repeatedly, starting at an offset."""
    yield None
    first = int(len(requests) * part)
    for one in itertools.cycle(requests[first:] + requests[:first]):
        body = None if one.body is None else _filled(one.body).encode() + b" " * one.padding
        headers = {name: _filled(value) for name, value in one.headers.items()}
        if body is not None:
            headers["Content-Type"] = "application/json"
        name = f"{one.method} {one.path.partition('?')[0]}"
        yield name, one.method, _filled(one.path), headers, body


def _filled(text):
    while "%uuid%" in text:
        text = text.replace("%uuid%", str(uuid4()), 1)
    return text.replace("%key%", b64(os.urandom(32))).replace("%name%", os.urandom(6).hex())


def _writes(vault_id, account_id):
    """Yield writes to a vault; receives their statuses, and continues the log after a success."""
    vault = _Log(UUID(vault_id), UUID(account_id))
    path, json_body = f"/api/v1/vaults/{vault_id}", {"Content-Type": "application/json"}
    status = yield None
    for number in itertools.count(1):
        vault.begin()
        if number % BATCH_EVERY:
            body = json.dumps(vault.put(item_id := uuid4())).encode()
            new = {**json_body, "If-None-Match": "*"}
            status = yield "PUT item", "PUT", f"{path}/items/{item_id}", new, body
        else:
            body = json.dumps({"changes": [vault.change() for _ in range(BATCH_CHANGES)]}).encode()
            status = yield "POST changes", "POST", f"{path}/changes", json_body, body
        if status >= 300:
            vault.undo()


class _Log:
    """The log of a vault whose contents cannot be opened, which the server cannot detect."""

    def __init__(self, vault_id, account_id):
        self._vault_id, self._account_id = vault_id, account_id
        self._n, self._head = self._before = 0, entries.first_head(vault_id)

    def begin(self):
        self._before = self._n, self._head

    def undo(self):
        self._n, self._head = self._before

    def change(self):
        item_id = uuid4()
        return {"op": "put", "item_id": str(item_id), "if_none_match": "*", **self.put(item_id)}

    def put(self, item_id):
        """Return the body of the next put."""
        overview, detail = _sealed(100), _sealed(ITEM_BYTES)
        content = entries.item_content("login", 1, overview, detail)
        vouch, mac, n = os.urandom(32), os.urandom(32), self._n + 1
        entry = entries.Entry(
            self._vault_id, n, self._head, entries.Op.PUT, item_id, n, content, 1,
            self._account_id, vouch,
        )  # fmt: skip
        wire = {"n": n, "prev": b64(self._head), "vouch": b64(vouch), "mac": b64(mac)}
        self._n, self._head = n, entries.head_of(entry, mac)
        sealed_parts = {"overview": b64(overview), "detail": b64(detail)}
        rest = {"type": "login", "generation": 1, "content_revision": n, "entry": wire}
        return {**sealed_parts, **rest}


def _sealed(size):
    """Return bytes in the form of a sealed value of ``size`` bytes."""
    return b"\x01\xff" + os.urandom(OVERHEAD + padded_size(size + 4) - 2)


if __name__ == "__main__":
    main()
