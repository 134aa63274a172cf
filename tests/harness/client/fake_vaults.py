"""The vault routes of the fake server: log, items and sync."""

import copy
import uuid

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

NOW = "2026-11-24T09:00:00Z"


class ServiceError(Exception):
    def __init__(self, slug, **members):
        self.slug, self.members = slug, members


class FakeVaults:
    """A mix-in that needs ``vaults``, by id, ``account`` and ``clock``.

    ``page`` is the maximum number of revisions in a page of a sync.
    """

    page = 1000

    def list_vaults(self, **_):
        return 200, {"vaults": [self._view(v) for v in self.vaults.values()], "next_cursor": None}

    def create_vault(self, *, body, **_):
        if body["id"] in self.vaults:
            raise ServiceError("vault-exists")
        self.vaults[body["id"]] = {
            "id": body["id"],
            "keys": [{"generation": 1, "sealed_key": body["sealed_key"]}],
            "overview": body["overview"],
            "overview_revision": 0,
            "overview_generation": 1,
            "generation": 1,
            "revision": 0,
            "head": b64(first_head(uuid.UUID(body["id"]))),
            "rotating": False,
            "entries": [],
            "items": {},
            "removed": {},
            "puts": {},
        }
        return 201, self._view(self.vaults[body["id"]])

    def _view(self, vault):
        hidden = ("entries", "items", "removed", "puts")
        view = {name: vault[name] for name in vault if name not in hidden}
        return self._shown_to(vault["id"], view)

    def _vault(self, vault_id):
        if vault_id not in self.vaults:
            raise ServiceError("vault-not-found")
        return self.vaults[vault_id]

    def show_vault(self, vault_id, **_):
        return 200, self._view(self._vault(vault_id))

    def rename_vault(self, vault_id, *, body, **_):
        vault = self._vault(vault_id)
        if self._repeated(vault, body):
            return 200, self._view(vault)
        self._check_generation(vault, body)
        n, content = vault["revision"] + 1, overview_content(unb64(body["overview"]))
        self._extend(vault, Op.RENAME, None, n, content, body["entry"])
        vault |= {
            "overview": body["overview"],
            "overview_revision": n,
            "overview_generation": vault["generation"],
        }
        return 200, self._view(vault)

    def _check_generation(self, vault, body):
        if body["generation"] < vault["generation"]:
            raise ServiceError("generation-moved", generation=vault["generation"])

    def _check_next(self, vault, sent):
        if sent["prev"] != vault["head"] or sent["n"] != vault["revision"] + 1:
            raise ServiceError("head-moved", revision=vault["revision"], head=vault["head"])

    def _extend(self, vault, op, item_id, content_revision, content, sent):
        self._check_next(vault, sent)
        entry = Entry(
            vault_id=uuid.UUID(vault["id"]),
            n=sent["n"],
            prev=unb64(sent["prev"]),
            op=op,
            item_id=item_id and uuid.UUID(item_id),
            content_revision=content_revision,
            content=content,
            generation=vault["generation"],
            author_id=uuid.UUID(self.sender or self.account["account_id"]),
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
        self._check_generation(vault, body)
        self._check_match(vault, item_id, request.headers.get("If-Match"))
        self.store_put(vault, item_id, body)
        return 200, self._written(vault, item_id)

    def _repeated(self, vault, body):
        n = body["entry"]["n"]
        return n <= vault["revision"] and vault["entries"][n - 1]["mac"] == body["entry"]["mac"]

    def _check_match(self, vault, item_id, match):
        held = vault["items"].get(item_id)
        if held is None and item_id in vault["removed"]:
            raise ServiceError("conflict" if match is None else "item-not-found")
        if match is None and held is not None:
            raise ServiceError("precondition-failed", revision=held["revision"])
        if match is not None and (held is None or match != f'"{held["revision"]}"'):
            if held is None:
                raise ServiceError("item-not-found")
            raise ServiceError("precondition-failed", revision=held["revision"])

    def store_put(self, vault, item_id, body):
        held = vault["items"].get(item_id, {})
        if held.get("state") == "trash":
            raise ServiceError("in-trash")
        sealed = [unb64(body[part]) for part in ("overview", "detail")]
        n = body["content_revision"]
        content = item_content(body["type"], body["generation"], *sealed)
        self._extend(vault, Op.PUT, item_id, n, content, body["entry"])
        stored = ("type", "generation", "content_revision", "overview", "detail")
        vault["items"][item_id] = {name: body[name] for name in stored} | {
            "id": item_id,
            "revision": vault["revision"],
            "state": "active",
            "size": sum(map(len, sealed)),
            "created_at": held.get("created_at", NOW),
            "updated_at": NOW,
            "content": b64(content),
        }
        vault["puts"].setdefault(item_id, {})[n] = dict(vault["items"][item_id])

    def move_item(self, vault_id, item_id, op, *, body, request, **_):
        vault = self._vault(vault_id)
        if self._repeated(vault, body):
            return 200, self._written(vault, item_id)
        self._check_match(vault, item_id, request.headers["If-Match"])
        if op == "restore":
            self._check_generation(vault, vault["items"][item_id])
        self.store_move(vault, item_id, op, body)
        return 200, self._written(vault, item_id)

    def store_move(self, vault, item_id, op, body):
        held = vault["items"][item_id]
        if op == "remove":
            self._extend(vault, Op.REMOVE, item_id, 0, NOTHING, body["entry"])
            del vault["items"][item_id]
            vault["puts"].pop(item_id, None)
            vault["removed"][item_id] = vault["revision"]
            return
        state = "trash" if op == "trash" else "active"
        if held["state"] == state:
            raise ServiceError("in-trash" if op == "trash" else "conflict")
        content = unb64(held["content"])
        self._extend(vault, Op(op), item_id, held["content_revision"], content, body["entry"])
        held |= {"revision": vault["revision"], "state": state}
        held["updated_at"] = f"{self.clock():%Y-%m-%dT%H:%M:%SZ}"

    def _written(self, vault, item_id):
        text = {"id": item_id, "revision": vault["revision"], "head": vault["head"]}
        if item_id not in vault["items"]:
            return text | {"state": "removed"}
        held = vault["items"][item_id]
        return text | {n: held[n] for n in ("content_revision", "generation", "state")}

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
                        self._check_generation(vault, change)
                        self.store_put(vault, item_id, change)
                    else:
                        self.store_move(vault, item_id, change["op"], change)
                for change in body["changes"]:
                    if change["op"] == "restore":
                        self._check_generation(vault, vault["items"][change["item_id"]])
            except ServiceError:
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
            raise ServiceError("head-moved", revision=vault["revision"], head=vault["head"])
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
