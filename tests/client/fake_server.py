"""A server of one account in memory: honest, until a test twists what it answers."""

import copy
import json
import re
import secrets
import uuid

import httpx2

from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.entries import (
    NOTHING,
    Entry,
    Op,
    first_head,
    head_of,
    item_content,
    overview_content,
)
from vaultr.protocol.refusals import STATUS_OF

NOW = "2026-11-24T09:00:00Z"


class Refusal(Exception):
    def __init__(self, slug, **members):
        self.slug, self.members = slug, members


class FakeServer:
    """Give ``transport()`` to a client.

    ``twist(method, path, status, body)`` may return another (status, body); ``lose`` holds
    (method, ending of the path) whose next answer is lost after it was done.
    """

    def __init__(self):
        self.account = None
        self.waiting = {}
        self.vaults = {}
        self.sessions = {}
        self.requests = []
        self.lose = []
        self.twist = None
        self.before = None

    def transport(self):
        return httpx2.MockTransport(self.handle)

    def wsgi(self, environ, start_response):
        """Answer behind a real socket."""
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
        if self.twist is not None:
            status, body = self.twist(request.method, path, status, body)
        if (lost := self._lost(request.method, path)) is not None:
            self.lose.remove(lost)
            raise httpx2.ReadError("lost")
        kind = "application/problem+json" if status >= 400 else "application/json"
        headers = {"Content-Type": kind} | ({"ETag": etag} if etag else {})
        content = b"" if body is None else json.dumps(body).encode()
        return httpx2.Response(status, headers=headers, content=content)

    def _lost(self, method, path):
        fits = [lost for lost in self.lose if lost[0] == method and path.endswith(lost[1])]
        return fits[0] if fits else None

    def _answer(self, request, path, query):
        body = json.loads(request.content) if request.content else None
        try:
            if not re.fullmatch(r"/auth/(prelogin|signup|verify-email|login|refresh)", path):
                self._signed_in(request)
            for method, pattern, action in ROUTES:
                found = re.fullmatch(pattern, path)
                if found and method == request.method:
                    answer = action(self, *found.groups(), body=body, query=query, request=request)
                    status, shown, etag = (*answer, None, None)[:3]
                    return status, copy.deepcopy(shown), etag
            raise Refusal("not-found")
        except Refusal as refusal:
            status = STATUS_OF[refusal.slug]
            problem = {"type": f"urn:vaultr:problem:{refusal.slug}", "status": status}
            return status, problem | {"detail": refusal.slug} | refusal.members, None

    def _signed_in(self, request):
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in {session["access"] for session in self.sessions.values()}:
            raise Refusal("unauthenticated")

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
            raise Refusal("token-invalid")
        self.account = self.waiting.pop(body["token"])
        return 204, None

    def login(self, *, body, **_):
        if self.account is None or body["auth_key"] != self.account["auth_key"]:
            raise Refusal("credentials-invalid")
        return 200, self._tokens() | self._me()

    def _tokens(self):
        session = {"access": secrets.token_hex(8), "refresh": secrets.token_hex(8)}
        self.sessions[session["refresh"]] = session
        return {
            "access_token": session["access"],
            "refresh_token": session["refresh"],
            "expires_in": 600,
        }

    def _me(self):
        account = self.account
        key_set = {name: account[name] for name in ("account_key", "identity", "profile")}
        shown = {"id": account["account_id"], "email": account["email"]}
        return {"account": shown, "key_set": key_set}

    def refresh(self, *, body, **_):
        if self.sessions.pop(body["refresh_token"], None) is None:
            raise Refusal("session-ended")
        return 200, self._tokens()

    def logout(self, *, request, **_):
        token = request.headers["Authorization"].removeprefix("Bearer ")
        kept = self.sessions.items()
        self.sessions = {name: each for name, each in kept if each["access"] != token}
        return 204, None

    def me(self, **_):
        return 200, self._me()

    def put_profile(self, *, body, request, **_):
        stored = self.account["profile"]["revision"]
        if request.headers["If-Match"] != f'"{stored}"' or body["revision"] != stored + 1:
            raise Refusal("precondition-failed", revision=stored)
        self.account["profile"] = body
        return 200, {"revision": body["revision"]}

    # Vaults

    def list_vaults(self, **_):
        return 200, {"vaults": [self._view(v) for v in self.vaults.values()], "next_cursor": None}

    def create_vault(self, *, body, **_):
        if body["id"] in self.vaults:
            raise Refusal("vault-exists")
        self.vaults[body["id"]] = {
            "id": body["id"],
            "keys": [{"generation": 1, "sealed_key": body["sealed_key"]}],
            "overview": body["overview"],
            "overview_revision": 0,
            "overview_generation": 1,
            "generation": 1,
            "revision": 0,
            "head": b64(first_head(uuid.UUID(body["id"]))),
            "entries": [],
            "items": {},
            "removed": {},
        }
        return 201, self._view(self.vaults[body["id"]])

    def _view(self, vault):
        return {name: vault[name] for name in vault if name not in ("entries", "items", "removed")}

    def _vault(self, vault_id):
        if vault_id not in self.vaults:
            raise Refusal("vault-not-found")
        return self.vaults[vault_id]

    def show_vault(self, vault_id, **_):
        return 200, self._view(self._vault(vault_id))

    def rename_vault(self, vault_id, *, body, **_):
        vault = self._vault(vault_id)
        n, content = vault["revision"] + 1, overview_content(unb64(body["overview"]))
        self._extend(vault, Op.RENAME, None, n, content, body["entry"])
        vault |= {"overview": body["overview"], "overview_revision": n}
        return 200, self._view(vault)

    def _extend(self, vault, op, item_id, content_revision, content, sent):
        if sent["prev"] != vault["head"] or sent["n"] != vault["revision"] + 1:
            raise Refusal("head-moved", revision=vault["revision"], head=vault["head"])
        entry = Entry(
            vault_id=uuid.UUID(vault["id"]),
            n=sent["n"],
            prev=unb64(sent["prev"]),
            op=op,
            item_id=item_id and uuid.UUID(item_id),
            content_revision=content_revision,
            content=content,
            generation=vault["generation"],
            author_id=uuid.UUID(self.account["account_id"]),
            vouch=unb64(sent["vouch"]),
        )
        head = b64(head_of(entry, unb64(sent["mac"])))
        stored = {
            "op": str(op),
            "item_id": item_id,
            "content_revision": content_revision,
            "content": b64(content),
            "generation": entry.generation,
            "author_id": str(entry.author_id),
            "head": head,
        }
        vault["entries"].append(sent | stored)
        vault |= {"revision": entry.n, "head": head}

    def put_item(self, vault_id, item_id, *, body, request, **_):
        vault = self._vault(vault_id)
        if self._repeated(vault, body):
            return 200, self._written(vault, item_id)
        self._check_match(vault, item_id, request.headers.get("If-Match"))
        self._put(vault, item_id, body)
        return 200, self._written(vault, item_id)

    def _repeated(self, vault, body):
        n = body["entry"]["n"]
        return n <= vault["revision"] and vault["entries"][n - 1]["mac"] == body["entry"]["mac"]

    def _check_match(self, vault, item_id, match):
        held = vault["items"].get(item_id)
        if match is None and held is not None:
            raise Refusal("precondition-failed", revision=held["revision"])
        if match is not None and (held is None or match != f'"{held["revision"]}"'):
            if held is None:
                raise Refusal("item-not-found")
            raise Refusal("precondition-failed", revision=held["revision"])

    def _put(self, vault, item_id, body):
        held = vault["items"].get(item_id, {})
        if held.get("state") == "trash":
            raise Refusal("in-trash")
        sealed = [unb64(body[part]) for part in ("overview", "detail")]
        n = body["content_revision"]
        content = item_content(body["type"], body["generation"], *sealed)
        self._extend(vault, Op.PUT, item_id, n, content, body["entry"])
        kept = ("type", "generation", "content_revision", "overview", "detail")
        vault["items"][item_id] = {name: body[name] for name in kept} | {
            "id": item_id,
            "revision": vault["revision"],
            "state": "active",
            "size": sum(map(len, sealed)),
            "created_at": held.get("created_at", NOW),
            "updated_at": NOW,
            "content": b64(content),
        }

    def move_item(self, vault_id, item_id, op, *, body, request, **_):
        vault = self._vault(vault_id)
        if self._repeated(vault, body):
            return 200, self._written(vault, item_id)
        self._check_match(vault, item_id, request.headers["If-Match"])
        self._move(vault, item_id, op, body)
        return 200, self._written(vault, item_id)

    def _move(self, vault, item_id, op, body):
        held = vault["items"][item_id]
        if op == "remove":
            self._extend(vault, Op.REMOVE, item_id, 0, NOTHING, body["entry"])
            del vault["items"][item_id]
            vault["removed"][item_id] = vault["revision"]
            return
        state = "trash" if op == "trash" else "active"
        if held["state"] == state:
            raise Refusal("in-trash" if op == "trash" else "conflict")
        content = unb64(held["content"])
        self._extend(vault, Op(op), item_id, held["content_revision"], content, body["entry"])
        held |= {"revision": vault["revision"], "state": state}

    def _written(self, vault, item_id):
        said = {"id": item_id, "revision": vault["revision"], "head": vault["head"]}
        if item_id not in vault["items"]:
            return said | {"state": "removed"}
        held = vault["items"][item_id]
        return said | {n: held[n] for n in ("content_revision", "generation", "state")}

    def change(self, vault_id, *, body, **_):
        vault = self._vault(vault_id)
        last = body["changes"][-1]
        if not self._repeated(vault, last):
            before = copy.deepcopy(vault)
            try:
                for change in body["changes"]:
                    match = change.get("if_match")
                    item_id = change["item_id"]
                    self._check_match(vault, item_id, match and f'"{match}"')
                    if change["op"] == "put":
                        self._put(vault, item_id, change)
                    else:
                        self._move(vault, item_id, change["op"], change)
            except Refusal:
                self.vaults[vault_id] = before
                raise
        results = [
            {"item_id": each["item_id"], "revision": each["entry"]["n"]} for each in body["changes"]
        ]
        return 200, {"results": results, "revision": vault["revision"], "head": vault["head"]}

    def sync(self, vault_id, *, query, request, **_):
        vault = self._vault(vault_id)
        since, after = int(query.get("since", 0)), int(query.get("after", 0))
        limit = min(int(query.get("limit", 500)), self.page)
        etag = f'"{vault["head"]}"'
        if max(since, after) > vault["revision"]:
            raise Refusal("head-moved", revision=vault["revision"], head=vault["head"])
        if since == vault["revision"] and request.headers.get("If-None-Match") == etag:
            return 304, None, etag
        begin = since or after
        shown = {**{i["revision"]: i for i in vault["items"].values()}}
        gone = {revision: item_id for item_id, revision in vault["removed"].items()}
        if since:
            through = min(begin + limit, vault["revision"])
        else:
            present = sorted(r for r in [*shown, *gone] if r > begin)
            through = present[limit - 1] if len(present) > limit else vault["revision"]
        more = through < vault["revision"]
        within = range(begin + 1, through + 1)
        hidden = "content"
        return (
            200,
            {
                "items": [
                    {name: value for name, value in shown[r].items() if name != hidden}
                    for r in within
                    if r in shown
                ],
                "removed": [{"id": gone[r], "revision": r} for r in within if r in gone],
                "entries": vault["entries"][begin:through] if since else [],
                "vault": self._view(vault),
                "through": through,
                "more": more,
                "revision": vault["revision"],
                "head": vault["head"],
                "head_entry": vault["entries"][-1] if vault["entries"] else None,
            },
            None if more else etag,
        )

    page = 1000


ID = r"([0-9a-f-]{36})"
ROUTES = [
    ("POST", "/auth/prelogin", FakeServer.prelogin),
    ("POST", "/auth/signup", FakeServer.signup),
    ("POST", "/auth/verify-email", FakeServer.verify_email),
    ("POST", "/auth/login", FakeServer.login),
    ("POST", "/auth/refresh", FakeServer.refresh),
    ("POST", "/auth/logout", FakeServer.logout),
    ("GET", "/auth/me", FakeServer.me),
    ("PUT", "/auth/profile", FakeServer.put_profile),
    ("GET", "/vaults", FakeServer.list_vaults),
    ("POST", "/vaults", FakeServer.create_vault),
    ("GET", f"/vaults/{ID}", FakeServer.show_vault),
    ("PUT", f"/vaults/{ID}", FakeServer.rename_vault),
    ("PUT", f"/vaults/{ID}/items/{ID}", FakeServer.put_item),
    ("POST", f"/vaults/{ID}/items/{ID}/(trash|restore|remove)", FakeServer.move_item),
    ("POST", f"/vaults/{ID}/changes", FakeServer.change),
    ("GET", f"/vaults/{ID}/sync", FakeServer.sync),
]
