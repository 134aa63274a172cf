"""A minimal client of one vault for server tests: it seals items and writes log entries."""

import copy
import json
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.crypto.seal import seal
from vaultr.client.log.append import Batch, Change, prepare
from vaultr.client.log.pages import gather
from vaultr.client.log.receipts import check_batch, check_vault, check_write
from vaultr.client.log.state import new_vault
from vaultr.client.log.verify import take_delta, take_full
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import Op

VAULTS = "/api/v1/vaults"


@dataclass(repr=False)
class Request:
    """A write that is ready to be sent; tests modify copies of it."""

    method: str
    path: str
    body: dict
    headers: dict
    batch: Batch

    def but(self, *, headers=None, entry=None, **body):
        """Return a copy with another precondition, entry members or members."""
        other = copy.deepcopy(self.body) | body
        if entry:
            other["entry"] |= entry
        return replace(self, body=other, headers=self.headers if headers is None else headers)


class NoPage(AssertionError):
    """The server rejected a page of a sync."""

    def __init__(self, response):
        self.response = response
        super().__init__(response.json)


class Writer:
    """The keys and the state of one vault."""

    def __init__(self, client, vault_id=None):
        self.client = client
        self.author_id = client.account_id
        self.id = vault_id or uuid4()
        self.keys = {1: VaultKeys.new()}
        self.wrap = self.keys[1].wrap(bytes(32), self.author_id, self.id, 1)
        self.overview = self.sealed_overview("a vault", revision=0)
        self.state = new_vault(self.id, self.overview, self.keys[1])

    @property
    def path(self):
        return f"{VAULTS}/{self.id}"

    def creation(self):
        """Return the body that creates the vault."""
        sealed = {"sealed_key": b64(self.wrap), "overview": b64(self.overview)}
        return {"id": str(self.id)} | sealed

    def create(self):
        response = self.client.post(VAULTS, json=self.creation())
        assert response.status_code == 201, response.json
        return self

    def twin(self, client=None):
        """Return another client with the same keys and state."""
        other = copy.copy(self)
        other.client = client or self.client
        return other

    @property
    def generation(self):
        return self.state.generation

    def sealed_overview(self, name, *, revision, generation=1):
        bound = aad.vault_overview(self.id, revision, generation)
        return seal(self.keys[generation].vk, bound, json.dumps({"name": name}).encode())

    def sealed_put(self, item_id, text="hunter2", *, type="login", ahead=0):
        """Seal both parts of an item for the revision after ``ahead`` others."""
        parts = [
            seal(
                self.keys[self.generation].vk,
                aad.item(self.id, item_id, part, type, self.state.n + 1 + ahead, self.generation),
                json.dumps({part: text}).encode(),
            )
            for part in ("overview", "detail")
        ]
        return Change.put(item_id, type, *parts)

    def put_request(self, item_id=None, text="hunter2", *, type="login"):
        """Prepare a put that creates or replaces an item."""
        item_id = item_id or uuid4()
        return self._request(self.sealed_put(item_id, text, type=type))

    def move_request(self, op, item_id):
        """Prepare to trash, restore or remove an item."""
        return self._request(Change(Op(op), item_id))

    def rename_request(self, name):
        n, generation = self.state.n + 1, self.generation
        overview = self.sealed_overview(name, revision=n, generation=generation)
        batch = self._prepare([Change.rename(overview)])
        body = {
            "overview": b64(overview),
            "generation": generation,
            "entry": batch.last.entry_json(),
        }
        return Request("PUT", self.path, body, {}, batch)

    def rotation_request(self, machines=()):
        """Prepare to begin a rotation; ``machines`` are the ids of the machines with a key."""
        self.keys = {**self.keys, self.generation + 1: VaultKeys.new()}
        return self.rotation_request_again(machines)

    def rotation_request_again(self, machines=()):
        """Prepare to begin a rotation with the same keys as before."""
        generation = self.generation + 1
        wrap = self.keys[generation].wrap(bytes(32), self.author_id, self.id, generation)
        batch = self._prepare([Change.rotate_begin()])
        body = {
            "generation": generation,
            "sealed_key": b64(wrap),
            "machines": [{"id": str(one), "sealed_key": b64(wrap)} for one in machines],
            "entry": batch.last.entry_json(),
        }
        return Request("POST", f"{self.path}/rotation", body, {}, batch)

    def finish_request(self):
        return self._whole_request(Change.rotate_end(), "rotation/finish")

    def repair_request(self):
        return self._whole_request(Change.repair(), "repair")

    def _whole_request(self, change, path):
        batch = self._prepare([change])
        body = {"entry": batch.last.entry_json()}
        return Request("POST", f"{self.path}/{path}", body, {}, batch)

    def rotate(self, machines=()):
        """Begin a rotation, reseal everything, and finish; all requests must succeed."""
        self.done(self.rotation_request(machines))
        self.done(self.rename_request("a vault"))
        for item_id, held in self.state.items.items():
            if held.state == "active" and held.generation < self.generation:
                self.put(item_id)
        self.done(self.finish_request())

    def done(self, request):
        """Send a request, which must succeed."""
        response = self.send(request)
        assert response.status_code in (200, 201), response.json
        return response

    def batch_request(self, *steps):
        """Prepare a batch of ``(op, item_id)`` or ``("put", item_id, text)``."""
        changes = [
            self.sealed_put(step[1], *step[2:], ahead=ahead)
            if step[0] == "put"
            else Change(Op(step[0]), step[1])
            for ahead, step in enumerate(steps)
        ]
        batch = self._prepare(changes)
        revisions = {item_id: held.revision for item_id, held in self.state.items.items()}
        body = []
        for change, write in zip(changes, batch.writes, strict=True):
            known = revisions.get(change.item_id)
            expected = {"if_none_match": "*"} if known is None else {"if_match": known}
            reported = {"op": change.op.value, "item_id": str(change.item_id), **expected}
            body.append(reported | self._content(change, write) | {"entry": write.entry_json()})
            revisions[change.item_id] = write.revision
        return Request("POST", f"{self.path}/changes", {"changes": body}, {}, batch)

    def send(self, request):
        """Send a request; after a success, check the response and continue from there."""
        response = self.ask(request)
        if response.status_code < 300:
            check = check_write
            if request.path.endswith("/changes"):
                check = check_batch
            elif "/items/" not in request.path:
                check = check_vault
            check(request.batch, response.json)
            self.state = request.batch.state
        return response

    def ask(self, request):
        """Send a request, and return any response."""
        send = getattr(self.client, request.method.lower())
        return send(request.path, json=request.body, headers=request.headers)

    def put(self, item_id=None, text="hunter2", **more):
        """Put an item, which must succeed; return its id."""
        request = self.put_request(item_id, text, **more)
        response = self.send(request)
        assert response.status_code in (200, 201), response.json
        return UUID(response.json["id"])

    def move(self, op, item_id):
        response = self.send(self.move_request(op, item_id))
        assert response.status_code == 200, response.json
        return response.json

    def pages(self, *, since=0, limit=500):
        """Request all pages of a sync, one after another."""
        after, path = since, f"{self.path}/sync?limit={limit}"
        while True:
            place = f"since={after}" if since else f"since=0&after={after}"
            response = self.client.get(f"{path}&{place}")
            if response.status_code != 200:
                raise NoPage(response)
            yield response.json
            after = response.json["through"]
            if not response.json["more"]:
                return

    def sync(self, *, limit=500):
        """Sync the vault, and check the chain and the sum like any client."""
        if self.state.n == 0:
            synced = take_full(self._shown(0, limit), self.keys, None)
        else:
            synced = take_delta(self.state, self._shown(self.state.n, limit), self.keys, None)
        self.state = synced.state
        return synced

    def full(self, *, limit=500):
        """Fetch the whole set, like a new device."""
        return take_full(self._shown(0, limit), self.keys, None)

    def _shown(self, since, limit):
        return gather(self.id, self.pages(since=since, limit=limit), since=since)

    def _prepare(self, changes):
        return prepare(self.state, changes, keys=self.keys, author_id=self.author_id)

    def _request(self, change):
        batch = self._prepare([change])
        write = batch.last
        held = self.state.items.get(change.item_id)
        headers = {"If-Match": f'"{held.revision}"'} if held else {"If-None-Match": "*"}
        path = f"{self.path}/items/{change.item_id}"
        body = {"entry": write.entry_json()} | self._content(change, write)
        if change.op is Op.PUT:
            return Request("PUT", path, body, headers, batch)
        return Request("POST", f"{path}/{change.op}", body, headers, batch)

    def _content(self, change, write):
        if change.op is not Op.PUT:
            return {}
        return {
            "type": change.type,
            "generation": self.generation,
            "content_revision": write.revision,
            "overview": b64(change.overview),
            "detail": b64(change.detail),
        }
