"""Users who read, write, log in and recover during an abuse of the server, and their results."""

import contextlib
import http.client
import itertools
import re
import time
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID, uuid4

from tests import factories
from tests.harness import account_recovery
from tests.harness.load_writers import Http
from tests.harness.mail_servers import Inbox
from tests.harness.threads import UntilEnd
from tests.harness.vault_writer import Writer

PAUSE_SECONDS = 0.25
ITEMS = 5
PATIENCE_SECONDS = 60
SIGNUP = "/api/v1/auth/signup"
TOKEN = account_recovery.TOKEN
LINK = re.compile(r"verify-email\?token=([A-Za-z0-9_-]+)")


@dataclass(frozen=True)
class Seen:
    """One request of a user: its kind, its seconds, and the status (0: no response)."""

    kind: str
    seconds: float
    status: int
    problem: str = ""


@dataclass
class Record:
    """The results of all users."""

    seen: list[Seen] = field(default_factory=list)
    email_seconds: list[float] = field(default_factory=list)

    def p99(self, kind=None):
        ordered = sorted(one.seconds for one in self.seen if kind in (None, one.kind))
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0

    def kinds(self):
        return sorted({one.kind for one in self.seen})

    def failures(self):
        return [one for one in self.seen if not 200 <= one.status < 400]

    def summary(self):
        """Return one line for each kind: number, median and p99 in ms."""
        lines = []
        for kind in self.kinds():
            ordered = sorted(one.seconds for one in self.seen if one.kind == kind)
            median = ordered[len(ordered) // 2]
            lines.append(f"{kind}: {len(ordered)}, {median * 1e3:.0f}, {self.p99(kind) * 1e3:.0f}")
        return lines


class TimedInbox(Inbox):
    """The inbox of a mail server, with the arrival time of each email."""

    def __init__(self):
        super().__init__()
        self.arrived = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd calls it so
        answer = await super().handle_DATA(server, session, envelope)
        text = self.messages[-1].get_body(("plain",)).get_content().replace("\r\n", "\n")
        self.arrived += [(to, text, time.monotonic()) for to in envelope.rcpt_tos]
        return answer

    def wait_for(self, address, pattern):
        """Return the match in an email to ``address``, and its arrival time."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            for to, text, when in list(self.arrived):
                if to == address and (found := pattern.search(text)):
                    return found[1], when
            time.sleep(0.05)
        raise AssertionError("an email did not arrive")


class MeasuredClient(Http):
    """A client that records each of its requests."""

    def __init__(self, url, session, source, record):
        super().__init__(url, session, source)
        self.record = record

    def request(self, method, path, *, json=None, headers=None):
        began = time.monotonic()
        answer = None
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = super().request(method, path, json=json, headers=headers)
        took = time.monotonic() - began
        if answer is None:
            self.record.seen.append(Seen(_kind(method, path), took, 0))
            raise ConnectionError(f"{method} {path}: no response")
        problem = "" if answer.status_code < 400 else answer.json.get("type", "").rpartition(":")[2]
        self.record.seen.append(Seen(_kind(method, path), took, answer.status_code, problem))
        return answer


def _kind(method, path):
    if path.endswith(("/login", "/ready")):
        return path.rpartition("/")[2]
    if "/recover" in path or "/signup" in path or "/verify-email" in path:
        return "recovery" if "/recover" in path else "signup"
    return {"GET": "read", "HEAD": "read"}.get(method, "write")


@dataclass(frozen=True)
class Credentials:
    """The headers of a client's requests; empty for an anonymous client."""

    headers: dict = field(default_factory=dict)
    account_id: UUID | None = None


class User:
    """One account with one vault and one known device."""

    def __init__(self, app, url, number):
        self.email, self.device_id = f"user{number}@example.org", uuid4()
        with app.app_context():
            session = factories.session(factories.account(self.email), device_id=self.device_id)
        self._url, self._source = url, f"127.0.1.{number + 1}"
        self.client = self._client(session, Record())
        self._writer = Writer(self.client).create()
        self._items = [self._writer.put() for _ in range(ITEMS)]
        self.log_in()

    def _client(self, credentials, record):
        return MeasuredClient(self._url, credentials, self._source, record)

    def use(self, record):
        """From now on, record results in another `Record`."""
        self.client.record = record

    def log_in(self):
        """Log in, and end that session."""
        body = factories.login(self.email, device_id=self.device_id)
        anonymous = self._client(Credentials(), self.client.record)
        answer = anonymous.post("/api/v1/auth/login", json=body)
        if answer.status_code == 200:
            token = {"Authorization": f"Bearer {answer.json['access_token']}"}
            self._client(Credentials(token), self.client.record).post("/api/v1/auth/logout")

    def next_action(self, number):
        """Do the next action of a user."""
        item_id = self._items[number % ITEMS]
        path = f"{self._writer.path}/items"
        step = number % 10
        if step == 0:
            self.log_in()
        elif step < 4:
            self._writer.send(self._writer.put_request(item_id))
        elif step < 8:
            self.client.get(f"{path}/{item_id}")
        elif step == 8:
            self.client.get(path)
        else:
            self.client.get(f"{self._writer.path}/sync?since={self._writer.state.n - 1}")


class RecoveringUsers:
    """Accounts that recover, each once, and new users who sign up."""

    def __init__(self, app, url, inbox, count):
        self._url, self._inbox = url, inbox
        self._people = []
        for number in range(count):
            email = f"forgetful{number}@example.org"
            account_recovery.with_recovery_key(app, email)
            with app.app_context():
                session = factories.session(factories.owner(email))
            self._people.append((email, session.account_id, session))

    def next_action(self, record):
        """Recover the next account, and sign up another."""
        if not self._people:
            return
        email, account_id, session = self._people.pop()
        number = len(self._people)
        source = f"127.0.2.{number % 200 + 1}"
        client = MeasuredClient(self._url, session, source, record)
        anonymous = MeasuredClient(self._url, Credentials(), source, record)
        token = self._emailed(anonymous, account_recovery.RECOVER, {"email": email}, TOKEN)
        anonymous.post(account_recovery.START, json=account_recovery.proof(token, account_id))
        client.request("DELETE", account_recovery.RECOVER)
        newcomer = f"newcomer{number}@example.org"
        token = self._emailed(anonymous, SIGNUP, factories.signup(newcomer), LINK)
        anonymous.post("/api/v1/auth/verify-email", json={"token": token})
        anonymous.post("/api/v1/auth/login", json=factories.login(newcomer))

    def _emailed(self, client, path, body, pattern):
        """Send a request that triggers an email; return the emailed token."""
        requested = time.monotonic()
        answer = client.post(path, json=body)
        if answer.status_code != 202:
            raise ConnectionError("recorded as a failure")
        token, when = self._inbox.wait_for(body["email"], pattern)
        client.record.email_seconds.append(when - requested)
        return token


class Users(UntilEnd):
    """Runs all users, each in a thread, until the block ends."""

    def __init__(self, users, forgetful, url):
        self.record = Record()
        for one in users:
            one.use(self.record)
        probe = MeasuredClient(url, Credentials(), "127.0.3.1", self.record)
        works = [one.next_action for one in users]
        works += [
            lambda _: forgetful.next_action(self.record),
            lambda _: probe.get("/api/ready"),
        ]
        super().__init__([partial(self._act_until_done, work) for work in works])

    @staticmethod
    def _act_until_done(work, done):
        for number in itertools.count():
            if done.is_set():
                return
            with contextlib.suppress(ConnectionError):  # recorded
                work(number)
            done.wait(PAUSE_SECONDS)
