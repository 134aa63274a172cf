"""An account, vaults and items for measurements, created over HTTP as a client creates them.

The server cannot tell random bytes from sealed ones, so nothing is encrypted here.
"""

import json
import os
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from bench.load import Connection, request
from tests.harness.first_hour_site import Site, token_of
from vaultr.protocol import entries
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import Entry, Op
from vaultr.protocol.sealed import OVERHEAD, padded_size

OVERVIEW_BYTES = 180
DETAIL_BYTES = 300
BATCH = 500


def sealed(size: int) -> bytes:
    """Return bytes in the form of a sealed value of ``size`` bytes."""
    return b"\x01\xff" + os.urandom(OVERHEAD + padded_size(size + 4) - 2)


@dataclass
class Account:
    """An account that is logged in."""

    port: int
    email: str
    id: UUID = field(default_factory=uuid4)
    auth_key: str = field(default_factory=lambda: b64(os.urandom(32)))
    device: str = field(default_factory=lambda: str(uuid4()))
    token: str = ""

    @classmethod
    def make(cls, site: Site, email: str) -> "Account":
        """Sign up, confirm the email, log in."""
        account = cls(site.port, email)
        number = len(list((site.home / "mail").glob("*.eml")))
        account.post("/api/v1/auth/signup", account.signup())
        account.post("/api/v1/auth/verify-email", {"token": token_of(site.mail(number))})
        account.sign_in()
        return account

    def signup(self) -> dict:
        """Return the body of a signup."""
        public = {"public": b64(os.urandom(32)), "sealed": b64(sealed(32))}
        return {
            "account_id": str(self.id),
            "email": self.email,
            "auth_scheme": "vp1",
            "auth_key": self.auth_key,
            "kdf": {"alg": "argon2id", "m": 65536, "t": 3, "p": 4},
            "salt": b64(os.urandom(32)),
            "account_key": {"epoch": 1, "sealed": b64(sealed(32))},
            "identity": {"x25519": public, "ed25519": public},
            "profile": {"revision": 1, "sealed": b64(sealed(400))},
        }

    def login(self) -> dict:
        """Return the body of a login."""
        device = {"id": self.device, "name": "bench"}
        return {"email": self.email, "auth_key": self.auth_key, "device": device}

    def sign_in(self) -> None:
        """Get an access token."""
        self.token = self.post("/api/v1/auth/login", self.login())["access_token"]

    def headers(self) -> dict[str, str]:
        """Return the headers of an authenticated request with a JSON body."""
        headers = {"Content-Type": "application/json"}
        return {**headers, "Authorization": f"Bearer {self.token}"} if self.token else headers

    def post(self, path: str, body: dict) -> dict:
        """Send one request, and require success."""
        data = request("POST", path, self.headers(), json.dumps(body).encode())
        connection = Connection(self.port)
        status, answer = connection.ask(data)
        connection.close()
        if status >= 300:
            raise RuntimeError(f"{path}: {status} {answer[:300]!r}")
        return json.loads(answer) if answer else {}

    def read(self, path: str, **headers: str) -> bytes:
        """Return the bytes of an authenticated GET request."""
        return request("GET", path, {"Authorization": f"Bearer {self.token}", **headers})


@dataclass
class Vault:
    """A vault whose log the bench writes."""

    account: Account
    id: UUID = field(default_factory=uuid4)
    n: int = 0
    head: bytes = b""
    items: list[UUID] = field(default_factory=list)

    @classmethod
    def make(cls, account: Account, *, items: int) -> "Vault":
        """Create a vault with ``items`` items."""
        vault = cls(account)
        vault.head = entries.first_head(vault.id)
        body = {"id": str(vault.id), "sealed_key": b64(sealed(64)), "overview": b64(sealed(30))}
        account.post("/api/v1/vaults", body)
        for first in range(0, items, BATCH):
            count = min(BATCH, items - first)
            changes = [vault.change(uuid4()) for _ in range(count)]
            account.post(f"/api/v1/vaults/{vault.id}/changes", {"changes": changes})
        return vault

    def change(self, item_id: UUID) -> dict:
        """Return the next change: a put of a new item."""
        self.items.append(item_id)
        return {"op": "put", "item_id": str(item_id), "if_none_match": "*", **self.put(item_id)}

    def put(self, item_id: UUID) -> dict:
        """Return the body of the next put, and continue as if it had succeeded."""
        overview, detail = sealed(OVERVIEW_BYTES), sealed(DETAIL_BYTES)
        content = entries.item_content("login", 1, overview, detail)
        vouch, mac, n = os.urandom(32), os.urandom(32), self.n + 1
        entry = Entry(self.id, n, self.head, Op.PUT, item_id, n, content, 1, self.account.id, vouch)
        wire = {"n": n, "prev": b64(self.head), "vouch": b64(vouch), "mac": b64(mac)}
        self.n, self.head = n, entries.head_of(entry, mac)
        return {
            "type": "login",
            "generation": 1,
            "content_revision": n,
            "overview": b64(overview),
            "detail": b64(detail),
            "entry": wire,
        }

    def replacing(self, item_id: UUID, revision: int) -> bytes:
        """Return the next request that replaces an item."""
        headers = {**self.account.headers(), "If-Match": f'"{revision}"'}
        path = f"/api/v1/vaults/{self.id}/items/{item_id}"
        return request("PUT", path, headers, json.dumps(self.put(item_id)).encode())
