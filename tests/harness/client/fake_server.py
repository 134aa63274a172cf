"""A fake server in memory for one account; tests can tamper with its responses."""

import copy
import json
import re
import secrets
import uuid
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx2

from tests.harness.client import fake_accounts, fake_machines
from tests.harness.client.fake_accounts import FakeAccounts
from tests.harness.client.fake_history import FakeHistory
from tests.harness.client.fake_machines import ID, FakeMachines
from tests.harness.client.fake_vaults import ServiceError
from vaultr.protocol.encoding import b64
from vaultr.protocol.problems import STATUS_OF


class FakeServer(FakeAccounts, FakeMachines, FakeHistory):
    """Pass ``transport()`` to a client.

    ``twist(method, path, status, body)`` may return another (status, body); ``lose`` contains
    (method, end of the path) of requests whose next response is lost after they were processed.
    ``clock()`` is the time in each response.
    """

    def __init__(self):
        self.account = None
        self.waiting = {}
        self.vaults = {}
        self.sessions = {}
        self.replaced = {}  # the responses to refreshes, returned again until they are used
        self.machines = {}
        self.records = {}
        self.sender = None
        self.requests = []
        self.lose = []
        self.tamper = None
        self.before = None
        self.clock = lambda: datetime.now(UTC)

    def transport(self):
        return httpx2.MockTransport(self.handle)

    def wsgi(self, environ, start_response):
        """Respond behind a real socket."""
        size = int(environ.get("CONTENT_LENGTH") or 0)
        query = environ.get("QUERY_STRING")
        request = httpx2.Request(
            environ["REQUEST_METHOD"],
            f"http://localhost{environ['PATH_INFO']}" + (f"?{query}" if query else ""),
            content=environ["wsgi.input"].read(size),
            headers={
                name.removeprefix("HTTP_").replace("_", "-"): value
                for name, value in environ.items()
                if name.startswith("HTTP_")
            },
        )
        response = self.handle(request)
        start_response(f"{response.status_code} -", list(response.headers.items()))
        return [response.content]

    def handle(self, request):
        path, _, query = str(request.url.raw_path.decode()).partition("?")
        path = path.removeprefix("/api/v1")
        self.requests.append((request.method, path, request.content))
        if self.before is not None:
            self.before(request.method, path)
        status, body, etag = self._answer(request, path, dict(re.findall(r"(\w+)=(\w+)", query)))
        if self.tamper is not None:
            status, body = self.tamper(request.method, path, status, body)
        if (lost := self._lost(request.method, path)) is not None:
            self.lose.remove(lost)
            raise httpx2.ReadError("lost")
        kind = "application/problem+json" if status >= 400 else "application/json"
        headers = {"Content-Type": kind, "Date": format_datetime(self.clock(), usegmt=True)}
        headers |= {"ETag": etag} if etag else {}
        content = b"" if body is None else json.dumps(body).encode()
        return httpx2.Response(status, headers=headers, content=content)

    def _lost(self, method, path):
        fits = [lost for lost in self.lose if lost[0] == method and path.endswith(lost[1])]
        return fits[0] if fits else None

    def _answer(self, request, path, query):
        body = json.loads(request.content) if request.content else None
        try:
            self.sender = self.find_sender(request, path)
            if self.sender is None and not re.fullmatch(OPEN, path):
                self._signed_in(request)
            for method, pattern, action in ROUTES:
                found = re.fullmatch(pattern, path)
                if found and method == request.method:
                    answer = action(self, *found.groups(), body=body, query=query, request=request)
                    status, shown, etag = (*answer, None, None)[:3]
                    return status, copy.deepcopy(shown), etag
            raise ServiceError("not-found")
        except ServiceError as rejection:
            status = STATUS_OF[rejection.slug]
            problem = {"type": f"urn:vaultr:problem:{rejection.slug}", "status": status}
            return status, problem | {"detail": rejection.slug} | rejection.members, None

    def _signed_in(self, request):
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in {session["access"] for session in self.sessions.values()}:
            raise ServiceError("unauthenticated")

    # Accounts

    def prelogin(self, *, body, **_):
        account = self.account
        if account is None or body["email"] != account["email"]:
            account = {"account_id": str(uuid.uuid4()), "salt": b64(secrets.token_bytes(32))}
            account["kdf"] = {"alg": "argon2id", "m": 65536, "t": 3, "p": 4}
        shown = {name: account[name] for name in ("account_id", "kdf", "salt")}
        return 200, shown | {"auth_scheme": "vp1"}

    def signup(self, *, body, **_):
        self.waiting[f"token{len(self.waiting)}"] = body
        return 202, {}

    def verify_email(self, *, body, **_):
        if body["token"] not in self.waiting:
            raise ServiceError("token-invalid")
        self.account = self.waiting.pop(body["token"])
        return 204, None

    def login(self, *, body, **_):
        arguments = (body["email"], body["auth_key"])
        if self.account is None or arguments != (self.account["email"], self.account["auth_key"]):
            raise ServiceError("credentials-invalid")
        self._check_factor(body)
        return 200, self._tokens() | self._me()

    def _tokens(self, *, fresh=True, session_id=None):
        session = {"id": session_id or str(uuid.uuid4()), "fresh": fresh}
        session |= {"access": self.access_token(session["id"]), "refresh": secrets.token_hex(8)}
        self.sessions[session["refresh"]] = session
        return {
            "access_token": session["access"],
            "refresh_token": session["refresh"],
            "expires_in": 600,
        }

    def access_token(self, session_id, account_id=None):
        """Create a token in the format of a real server's; nobody can check its signature."""
        claims = {"sub": account_id or self.account["account_id"], "sid": session_id}
        parts = (json.dumps({"alg": "HS256"}).encode(), json.dumps(claims).encode())
        return ".".join([*map(b64, parts), secrets.token_hex(16)])

    def _me(self):
        account = self.account
        key_set = {name: account[name] for name in ("account_key", "identity", "profile")}
        shown = {"id": account["account_id"], "email": account["email"]}
        return {"account": shown, "key_set": key_set}

    def refresh(self, *, body, **_):
        provided = body["refresh_token"]
        before = self.sessions.pop(provided, None)
        if before is not None:
            self.replaced[provided] = self._tokens(fresh=before["fresh"], session_id=before["id"])
        tokens = self.replaced.get(provided)
        if tokens is None or tokens["refresh_token"] not in self.sessions:
            raise ServiceError("session-ended")
        return 200, tokens

    def logout(self, *, request, **_):
        token = request.headers["Authorization"].removeprefix("Bearer ")
        stored = self.sessions.items()
        self.sessions = {name: each for name, each in stored if each["access"] != token}
        return 204, None

    def end_session(self, session_id, **_):
        stored = {name: each for name, each in self.sessions.items() if each["id"] != session_id}
        if len(stored) == len(self.sessions):
            raise ServiceError("not-found")
        self.sessions = stored
        return 204, None

    def me(self, **_):
        return 200, self._me()

    def put_profile(self, *, body, request, **_):
        stored = self.account["profile"]["revision"]
        if request.headers["If-Match"] != f'"{stored}"' or body["revision"] != stored + 1:
            raise ServiceError("precondition-failed", revision=stored)
        self.account["profile"] = body
        return 200, {"revision": body["revision"]}


OPEN = r"/auth/(prelogin|signup|verify-email|login|refresh|recover(/start|/complete)?)"
ROUTES = [
    *fake_accounts.ROUTES,
    *fake_machines.ROUTES,
    ("POST", "/auth/prelogin", FakeServer.prelogin),
    ("POST", "/auth/signup", FakeServer.signup),
    ("POST", "/auth/verify-email", FakeServer.verify_email),
    ("POST", "/auth/login", FakeServer.login),
    ("POST", "/auth/refresh", FakeServer.refresh),
    ("POST", "/auth/logout", FakeServer.logout),
    ("DELETE", f"/auth/sessions/{ID}", FakeServer.end_session),
    ("GET", "/auth/me", FakeServer.me),
    ("PUT", "/auth/profile", FakeServer.put_profile),
    ("GET", "/vaults", FakeServer.list_vaults),
    ("POST", "/vaults", FakeServer.create_vault),
    ("GET", f"/vaults/{ID}", FakeServer.show_vault),
    ("PUT", f"/vaults/{ID}", FakeServer.rename_vault),
    ("DELETE", f"/vaults/{ID}", FakeServer.delete_vault),
    ("GET", f"/vaults/{ID}/items/{ID}/versions", FakeServer.versions),
    ("GET", rf"/vaults/{ID}/items/{ID}/versions/(\d+)", FakeServer.version),
    ("POST", f"/vaults/{ID}/rotation", FakeServer.begin_rotation),
    ("GET", f"/vaults/{ID}/rotation", FakeServer.show_rotation),
    ("POST", f"/vaults/{ID}/rotation/finish", FakeServer.finish_rotation),
    ("POST", f"/vaults/{ID}/repair", FakeServer.repair),
    ("PUT", f"/vaults/{ID}/items/{ID}", FakeServer.put_item),
    ("POST", f"/vaults/{ID}/items/{ID}/(trash|restore|remove)", FakeServer.move_item),
    ("POST", f"/vaults/{ID}/changes", FakeServer.change),
    ("GET", f"/vaults/{ID}/sync", FakeServer.sync),
]
