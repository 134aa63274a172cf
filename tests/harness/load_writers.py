"""Owners who write to a real server continuously and verify every response."""

import http.client
import itertools
import json
import time
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from tests import factories
from tests.harness import audit_log
from tests.harness.threads import UntilEnd
from tests.harness.vault_writer import Writer
from vaultr.database.session import db, transaction
from vaultr.vault.models import ENTRIES

PATIENCE_SECONDS = 30


@dataclass
class Answer:
    """A response in the form of the other test clients."""

    status_code: int
    data: bytes
    headers: dict

    @property
    def json(self):
        return json.loads(self.data)


class Http:
    """A client over the network instead of Flask's own; a new connection for each request.

    :param source: the loopback address to connect from.
    """

    def __init__(self, url, session, source="127.0.0.1"):
        self._address = urlsplit(url).netloc
        self._source = (source, 0)
        self._headers = dict(session.headers)
        self.account_id = session.account_id

    def request(self, method, path, *, json=None, headers=None):
        body = None if json is None else dumped(json)
        sent = {**self._headers, **(headers or {}), "Content-Length": str(len(body or b""))}
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(
            self._address, timeout=PATIENCE_SECONDS, source_address=self._source
        )
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), dict(answer.headers))
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def put(self, path, **more):
        return self.request("PUT", path, **more)

    def post(self, path, **more):
        return self.request("POST", path, **more)


def dumped(value):
    return json.dumps(value).encode()


class Owner:
    """One account with one vault; it repeats a write until it is acknowledged."""

    def __init__(self, app, url, number):
        with app.app_context():
            session = factories.session(factories.account(f"owner{number}@example.org"))
        self.writer = Writer(Http(url, session))
        self.acknowledged = []
        self.rejected = []
        self.broken = 0
        self.slowest = 0.0

    def write(self, *, once=False):
        """Put one item; with ``once`` give up at the first unsuccessful response."""
        request = self.writer.put_request()
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                response = self.writer.send(request)
            except (OSError, http.client.HTTPException):
                self.broken += 1
                time.sleep(0.02)
                continue
            self.slowest = max(self.slowest, time.monotonic() - began)
            if response.status_code < 300:
                self.acknowledged.append(request.path)
                return True
            self.rejected.append(response.status_code)
            if once:
                return False
            assert response.status_code == 503, response.data
            time.sleep(0.05)
        raise AssertionError("no answer for too long")


class Owners(UntilEnd):
    """Several owners, each in a thread, until the block ends."""

    def __init__(self, app, url, number):
        self.all = [Owner(app, url, each) for each in range(number)]
        for one in self.all:
            one.writer.create()
        super().__init__([partial(self._write, one) for one in self.all])

    @staticmethod
    def _write(owner, done):
        while not done.is_set():
            owner.write()

    @property
    def acknowledged(self):
        return sum(len(one.acknowledged) for one in self.all)

    def wait_for_more(self, number, seconds=60):
        """Wait until this many more writes are acknowledged."""
        wanted, until = self.acknowledged + number, time.monotonic() + seconds
        while self.acknowledged < wanted:
            assert not self._errors, self._errors
            assert time.monotonic() < until, "nothing is written any more"
            time.sleep(0.01)

    def check(self, app):
        """Compare acknowledged, stored and recorded writes."""
        for one in self.all:
            stored = one.writer.full().state
            assert stored.head == one.writer.state.head
            assert len(stored.items) == len(one.acknowledged)
        with app.app_context():
            recorded = {event.event_id for event in audit_log.everything()}
            with transaction() as work:
                entries = work.execute(ENTRIES.select()).all()
            db.session.remove()
        assert {entry.audit_event_id for entry in entries} <= recorded
        writes = itertools.groupby(sorted(entry.audit_event_id for entry in entries))
        assert len(entries) == self.acknowledged == len(list(writes))


WIDE = dict.fromkeys(("LIMIT_WRITES", "LIMIT_READS", "LIMIT_ANONYMOUS"), "1000000/60")
