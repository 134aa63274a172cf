"""A minimal server of one vault: it stores items, extends the log and responds by contract."""

import copy
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import VaultKeys, open_wraps
from vaultr.client.crypto.seal import seal
from vaultr.client.log import append, pages, verify
from vaultr.client.log.state import new_vault, plan_sync
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

ACCOUNT = UUID(bytes=bytes(range(16)))
VAULT = UUID(bytes=b"V" * 16)
WRAP = bytes(range(32))


class LittleServer:
    """One vault. It knows no key, and computes heads from requests alone."""

    def __init__(self, vault_id, sealed_key, overview):
        self.vault_id = vault_id
        self.n, self.head, self.generation = 0, first_head(vault_id), 1
        self.keys = [{"generation": 1, "sealed_key": b64(sealed_key)}]
        self.overview = {"overview": b64(overview), "revision": 0, "generation": 1}
        self.items, self.removed, self.entries = {}, {}, []

    def take(self, change, entry):
        """Apply one change with its entry; nothing is rejected here."""
        assert (entry["n"], entry["prev"]) == (self.n + 1, b64(self.head))
        self.n = entry["n"]
        content_revision, content = self._apply(change)
        signed = Entry(
            vault_id=self.vault_id,
            n=self.n,
            prev=self.head,
            op=change.op,
            item_id=change.item_id,
            content_revision=content_revision,
            content=content,
            generation=self.generation,
            author_id=ACCOUNT,
            vouch=unb64(entry["vouch"]),
        )
        self.head = head_of(signed, unb64(entry["mac"]))
        self.entries.append(
            entry
            | {
                "op": str(change.op),
                "item_id": str(change.item_id) if change.item_id else None,
                "content_revision": content_revision,
                "content": b64(content),
                "generation": self.generation,
                "author_id": str(ACCOUNT),
                "head": b64(self.head),
            }
        )

    def _apply(self, change):
        item_id = change.item_id
        match change.op:
            case Op.PUT:
                self.items[item_id] = self._item(change)
            case Op.TRASH | Op.RESTORE:
                state = "trash" if change.op is Op.TRASH else "active"
                self.items[item_id] |= {"state": state, "revision": self.n}
            case Op.REMOVE:
                del self.items[item_id]
                self.removed[item_id] = self.n
            case Op.RENAME:
                sealed = change.overview
                self.overview = {
                    "overview": b64(sealed),
                    "revision": self.n,
                    "generation": self.generation,
                }
                return self.n, overview_content(sealed)
            case Op.ROTATE_BEGIN:
                self.generation += 1
        if item_id not in self.items:
            return 0, NOTHING
        item = self.items[item_id]
        parts = unb64(item["overview"]), unb64(item["detail"])
        return item["content_revision"], item_content(item["type"], item["generation"], *parts)

    def _item(self, change):
        return {
            "id": str(change.item_id),
            "type": change.type,
            "state": "active",
            "revision": self.n,
            "content_revision": self.n,
            "generation": self.generation,
            "size": len(change.overview) + len(change.detail),
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "overview": b64(change.overview),
            "detail": b64(change.detail),
        }

    def vault(self):
        """Show the vault as a list would."""
        states = [item["state"] for item in self.items.values()]
        return {
            "id": str(self.vault_id),
            "role": "owner",
            "keys": self.keys,
            "overview": self.overview["overview"],
            "overview_revision": self.overview["revision"],
            "overview_generation": self.overview["generation"],
            "generation": self.generation,
            "rotating": False,
            "revision": self.n,
            "head": b64(self.head),
            "counts": {"active": states.count("active"), "trash": states.count("trash")},
        }

    def sync(self, since=0, limit=1000):
        """Return all pages of one sync; whoever changes them changes nothing here."""
        answers, through = [], since
        while True:
            before, through = through, min(through + limit, self.n)
            answers.append(self._page(before, through, full=since == 0))
            if through == self.n:
                return copy.deepcopy(answers)

    def _page(self, before, through, *, full):
        inside = range(before + 1, through + 1)
        items = [item for item in self.items.values() if item["revision"] in inside]
        return {
            "items": sorted(items, key=lambda item: item["revision"]),
            "removed": [
                {"id": str(item_id), "revision": revision}
                for item_id, revision in self.removed.items()
                if revision in inside
            ],
            "entries": [] if full else [entry for entry in self.entries if entry["n"] in inside],
            "vault": self.vault(),
            "through": through,
            "more": through < self.n,
            "revision": self.n,
            "head": b64(self.head),
            "head_entry": self.entries[-1] if self.entries else None,
        }


class Device:
    """One of the owner's clients: it writes to a server, syncs, and verifies."""

    def __init__(self, keys=None, state=None):
        self.keys = keys or {}
        self.state = state

    @classmethod
    def with_new_vault(cls, vault_id=VAULT):
        """Make a vault and its server."""
        both = VaultKeys.new()
        overview = seal(both.vk, aad.vault_overview(vault_id, 0, 1), b"name")
        device = cls({1: both}, new_vault(vault_id, overview, both))
        return device, LittleServer(vault_id, both.wrap(WRAP, ACCOUNT, vault_id, 1), overview)

    def twin(self):
        """Return another device that holds the same."""
        return Device(dict(self.keys), self.state)

    def write(self, server, *changes):
        """Write a batch, and take over the predicted state."""
        if any(change.op is Op.ROTATE_BEGIN for change in changes):
            generation = self.state.generation + 1
            self.keys[generation] = VaultKeys.new()
            sealed = self.keys[generation].wrap(WRAP, ACCOUNT, server.vault_id, generation)
            server.keys.append({"generation": generation, "sealed_key": b64(sealed)})
        batch = append.prepare(self.state, changes, keys=self.keys, author_id=ACCOUNT)
        for change, each in zip(changes, batch.writes, strict=True):
            server.take(change, each.entry_json())
        self.state = batch.state
        return batch

    def sync(self, server, known=None, limit=1000):
        """Sync until nothing is left to prove."""
        while True:
            plan = plan_sync(self.state, known)
            self.judge(server.sync(plan.since, limit), known)
            if plan_sync(self.state, known).conditional:
                return self.state

    def judge(self, answers, known=None):
        """Verify the given pages as the answer to what this device would ask for."""
        plan = plan_sync(self.state, known)
        shown = pages.gather(VAULT, answers, since=plan.since)
        keys = open_wraps(WRAP, ACCOUNT, VAULT, shown.wraps, self.keys)
        if plan.full:
            synced = verify.take_full(shown, keys, known)
        else:
            synced = verify.take_delta(self.state, shown, keys, known)
        self.keys, self.state = keys, synced.state
        return synced
