"""One of the owner's devices, and the server of its only vault."""

import copy
from types import SimpleNamespace
from uuid import UUID

from tests.harness.client.fake_server import FakeServer
from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import VaultKeys, open_wraps
from vaultr.client.crypto.seal import seal
from vaultr.client.log import append, pages, verify
from vaultr.client.log.state import new_vault, plan_sync
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.entries import Op

ACCOUNT = UUID(bytes=bytes(range(16)))
VAULT = UUID(bytes=b"V" * 16)
WRAP = bytes(range(32))
NO_HEADERS = SimpleNamespace(headers={})


class OneVault:
    """The routes of the fake server for one vault, called without HTTP.

    :ivar stored: the vault as stored on the server; tests may change it.
    """

    def __init__(self, vault_id, sealed_key, overview):
        self._server = FakeServer()
        self._server.account = {"account_id": str(ACCOUNT)}
        self._id = str(vault_id)
        body = {"id": self._id, "sealed_key": b64(sealed_key), "overview": b64(overview)}
        self._server.create_vault(body=body)
        self.stored = self._server.vaults[self._id]

    @property
    def n(self):
        return self.stored["revision"]

    @property
    def head(self):
        return unb64(self.stored["head"])

    @property
    def entries(self):
        return self.stored["entries"]

    @property
    def generation(self):
        return self.stored["generation"]

    @property
    def items(self):
        """The items in a sync, by id."""
        return {UUID(each["id"]): each for page in self.sync() for each in page["items"]}

    def view(self):
        """Return the vault in the form of a list."""
        return self._server.show_vault(self._id)[1]

    def write(self, change, entry, sealed_key=None):
        """Store one change, with the wrap of the keys if it begins new ones."""
        body = {"entry": entry, "generation": self.generation}
        item_id = change.item_id and str(change.item_id)
        match change.op:
            case Op.PUT:
                sealed = {"overview": b64(change.overview), "detail": b64(change.detail)}
                body |= sealed | {"type": change.type, "content_revision": entry["n"]}
                self._server.store_put(self.stored, item_id, body)
            case Op.TRASH | Op.RESTORE | Op.REMOVE:
                self._server.store_move(self.stored, item_id, str(change.op), body)
            case Op.RENAME:
                body |= {"overview": b64(change.overview)}
                self._server.rename_vault(self._id, body=body)
            case Op.ROTATE_BEGIN:
                body |= {"generation": self.generation + 1, "sealed_key": b64(sealed_key)}
                body |= {"machines": []}
                self._server.begin_rotation(self._id, body=body)
            case Op.ROTATE_END:
                self._server.finish_rotation(self._id, body=body)
            case Op.REPAIR:
                self._server.repair(self._id, body=body)
            case other:
                raise AssertionError(f"no test writes {other}")

    def sync(self, since=0, limit=1000):
        """Return copies of all pages of one sync."""
        answers, query = [], {"since": since, "limit": limit}
        while True:
            page = self._server.sync(self._id, query=query, request=NO_HEADERS)[1]
            answers.append(copy.deepcopy(page))
            if not page["more"]:
                return answers
            query |= {"since" if since else "after": page["through"]}


class Device:
    """One of the owner's clients: it writes to a server, syncs, and verifies."""

    def __init__(self, keys=None, state=None):
        self.keys = keys or {}
        self.state = state

    @classmethod
    def with_new_vault(cls, vault_id=VAULT):
        """Create a vault and its server."""
        both = VaultKeys.new()
        overview = seal(both.vk, aad.vault_overview(vault_id, 0, 1), b"name")
        device = cls({1: both}, new_vault(vault_id, overview, both))
        return device, OneVault(vault_id, both.wrap(WRAP, ACCOUNT, vault_id, 1), overview)

    def twin(self):
        """Return another device with the same state."""
        return Device(dict(self.keys), self.state)

    def write(self, server, *changes):
        """Write a batch, and adopt the predicted state."""
        sealed_key = None
        if any(change.op is Op.ROTATE_BEGIN for change in changes):
            generation = self.state.generation + 1
            self.keys[generation] = VaultKeys.new()
            vault_id = self.state.vault_id
            sealed_key = self.keys[generation].wrap(WRAP, ACCOUNT, vault_id, generation)
        batch = append.prepare(self.state, changes, keys=self.keys, author_id=ACCOUNT)
        for change, each in zip(changes, batch.writes, strict=True):
            server.write(change, each.entry_json(), sealed_key)
        self.state = batch.state
        return batch

    def sync(self, server, known=None, limit=1000):
        """Sync until everything is verified."""
        while True:
            plan = plan_sync(self.state, known)
            self.judge(server.sync(plan.since, limit), known)
            if plan_sync(self.state, known).conditional:
                return self.state

    def judge(self, answers, known=None):
        """Verify the given pages as the response to this device's next request."""
        plan = plan_sync(self.state, known)
        shown = pages.gather(VAULT, answers, since=plan.since)
        keys = open_wraps(WRAP, ACCOUNT, VAULT, shown.wraps, self.keys)
        if plan.full:
            synced = verify.take_full(shown, keys, known)
        else:
            synced = verify.take_delta(self.state, shown, keys, known)
        self.keys, self.state = keys, synced.state
        return synced
