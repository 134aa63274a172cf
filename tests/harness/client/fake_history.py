"""Versions, rotations and repairs of the fake server."""

import uuid

from tests.harness.client.fake_vaults import FakeVaults, ServiceError
from vaultr.protocol.entries import NOTHING, Op


class FakeHistory(FakeVaults):
    """An honest server; ``step_up`` is whether the owner has just proved the password."""

    step_up = True

    def _proven(self):
        if not self.step_up:
            raise ServiceError("step-up-required")

    def delete_vault(self, vault_id, **_):
        self._proven()
        self._vault(vault_id)
        del self.vaults[vault_id]
        return 204, None

    def versions(self, vault_id, item_id, **_):
        stored = self._versions(vault_id, item_id)
        listed = [{n: v for n, v in one.items() if n != "detail"} for one in reversed(stored)]
        return 200, {"versions": listed, "next_cursor": None}

    def version(self, vault_id, item_id, revision, **_):
        for one in self._versions(vault_id, item_id):
            if one["revision"] == int(revision):
                return 200, one
        raise ServiceError("item-not-found")

    def _versions(self, vault_id, item_id):
        vault = self._vault(vault_id)
        if item_id not in vault["items"]:
            raise ServiceError("item-not-found")
        return [
            {name: put[name] for name in ("type", "generation", "overview", "detail")}
            | {
                "revision": n,
                "size": 0,
                "created_at": put["updated_at"],
                "entry": vault["entries"][n - 1],
            }
            for n, put in vault["puts"].get(item_id, {}).items()
        ]

    def begin_rotation(self, vault_id, *, body, **_):
        self._proven()
        vault = self._vault(vault_id)
        if self._repeated(vault, body):
            return 200, self._view(vault)
        if body["generation"] != vault["generation"] + 1:
            raise ServiceError("generation-moved", generation=vault["generation"])
        self._check_next(vault, body["entry"])
        self._wrap_for_machines(vault_id, body)
        vault["generation"] = body["generation"]
        self._extend(vault, Op.ROTATE_BEGIN, None, 0, NOTHING, body["entry"])
        wrap = {"generation": body["generation"], "sealed_key": body["sealed_key"]}
        vault["keys"] = [*vault["keys"], wrap]
        vault["rotating"] = True
        return 200, self._view(vault)

    def show_rotation(self, vault_id, **_):
        vault = self._vault(vault_id)
        text = {"rotating": vault["rotating"], "generation": vault["generation"]}
        return 200, text | {"left": self._left(vault)}

    def _left(self, vault):
        old = [
            each
            for each in vault["items"].values()
            if each["state"] == "active" and each["generation"] < vault["generation"]
        ]
        return {
            "items": len(old),
            "overview": vault["overview_generation"] < vault["generation"],
        }

    def finish_rotation(self, vault_id, *, body, **_):
        vault = self._vault(vault_id)
        if self._repeated(vault, body):
            return 200, self._view(vault)
        if not vault["rotating"]:
            raise ServiceError("conflict")
        if any(self._left(vault).values()):
            raise ServiceError("rotation-incomplete")
        self._extend(vault, Op.ROTATE_END, None, 0, NOTHING, body["entry"])
        vault["rotating"] = False
        return 200, self._view(vault)

    def repair(self, vault_id, *, body, **_):
        self._proven()
        vault = self._vault(vault_id)
        if not self._repeated(vault, body):
            self._extend(vault, Op.REPAIR, None, 0, NOTHING, body["entry"])
        return 200, self._view(vault)

    def entry_of(self, vault_id, n):
        """Return one entry of the log."""
        return self.vaults[str(uuid.UUID(str(vault_id)))]["entries"][n - 1]
