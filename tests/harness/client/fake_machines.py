"""The machines of a server in memory: their rights, wraps and requests."""

import hashlib

from tests.harness.client.fake_vaults import NOW, ServiceError
from vaultr.protocol.encoding import unb64

EXPIRES = "2036-11-24T09:00:00Z"


class FakeMachines:
    """A mix-in that needs ``machines``, the sealed keys by id, ``vaults`` and ``account``.

    ``records`` has the other values of each machine; ``sender`` is the machine that sent the
    current request, or None for the owner.
    """

    def _own(self, machine_id):
        if machine_id not in self.machines:
            raise ServiceError("not-found")
        record = self.records.get(machine_id, {})
        return {
            "id": machine_id,
            "name": "machine",
            "revision": 1,
            "created_at": NOW,
            "expires_at": EXPIRES,
            "networks": [],
            "last_used_at": None,
            "sealed_kek": self.machines[machine_id],
            "vaults": [],
        } | {name: record[name] for name in record if name not in ("auth", "key")}

    def list_machines(self, **_):
        listed = [self._own(each) for each in sorted(self.machines)]
        return 200, {"machines": listed, "next_cursor": None}

    def show_machine(self, machine_id, **_):
        shown = self._own(machine_id)
        return 200, shown, f'"{shown["revision"]}"'

    def add_machine(self, *, body, request, **_):
        self._proven()
        key = request.headers.get("Idempotency-Key")
        record = self.records.get(body["id"], {})
        if key is not None and record.get("key") == (key, request.content):
            return 201, self._own(body["id"])
        if body["id"] in self.machines:
            raise ServiceError("conflict")
        self._store(body["id"], body, revision=1)
        self.records[body["id"]]["key"] = (key, request.content)
        return 201, self._own(body["id"])

    def put_machine(self, machine_id, *, body, request, **_):
        self._proven()
        revision = self._own(machine_id)["revision"]
        if request.headers.get("If-Match", f'"{revision}"') != f'"{revision}"':
            raise ServiceError("precondition-failed", revision=revision)
        self._store(machine_id, body, revision=revision + 1)
        return 200, self._own(machine_id)

    def _store(self, machine_id, body, *, revision):
        for each in body["vaults"]:
            generation = self._vault(each["vault_id"])["generation"]
            if {one["generation"] for one in each["keys"]} != {*range(1, generation + 1)}:
                raise ServiceError("conflict")
        record = self.records.get(machine_id, {})
        stored = ("name", "expires_at", "networks", "vaults")
        record = record | {name: body[name] for name in stored} | {"revision": revision}
        if "auth_key" in body:
            record["auth"] = hashlib.sha256(unb64(body["auth_key"])).digest()
            self.machines[machine_id] = body["sealed_kek"]
        self.records[machine_id] = record

    def remove_machine(self, machine_id, **_):
        self._proven()
        self._own(machine_id)
        del self.machines[machine_id]
        self.records.pop(machine_id, None)
        return 204, None

    def show_self(self, **_):
        if self.sender is None:
            raise ServiceError("not-found")
        own = self._own(self.sender)
        names = ("id", "name", "expires_at", "vaults")
        return 200, {name: own[name] for name in names}

    def find_sender(self, request, path):
        """Find the machine that sent a request, and check its rights."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token.startswith("vma_"):
            return None
        _, machine_id, proof = token.split("_", 2)
        auth = hashlib.sha256(unb64(proof)).digest()
        if self.records.get(machine_id, {}).get("auth") != auth:
            raise ServiceError("unauthenticated")
        if path == "/machines/self":
            return machine_id
        if not path.startswith("/vaults/") or path.endswith(("/rotation", "/repair")):
            raise ServiceError("forbidden")
        rights = self._rights(machine_id, path.split("/")[2])
        if rights is None:
            raise ServiceError("vault-not-found")
        if request.method != "GET" and rights["rights"] != "write":
            raise ServiceError("forbidden")
        return machine_id

    def _rights(self, machine_id, vault_id):
        listed = self.records[machine_id]["vaults"]
        return next((each for each in listed if each["vault_id"] == vault_id), None)

    def _shown_to(self, vault_id, view):
        """Return a vault as the sender of the current request may see it."""
        if self.sender is None:
            return view
        rights = self._rights(self.sender, vault_id)
        return view | {"role": rights["rights"], "keys": rights["keys"]}

    def _wrap_for_machines(self, vault_id, body):
        """Add the wraps of a rotation; they must be for exactly the machines that hold a key."""
        holders = {each for each in self.records if self._rights(each, vault_id)}
        wraps = {each["id"]: each["sealed_key"] for each in body["machines"]}
        if wraps.keys() != holders:
            raise ServiceError("conflict")
        for machine_id, sealed in wraps.items():
            rights = self._rights(machine_id, vault_id)
            new = {"generation": body["generation"], "sealed_key": sealed}
            rights["keys"] = [*rights["keys"], new]


ID = r"([0-9a-f-]{36})"
ROUTES = [
    ("GET", "/machines/self", FakeMachines.show_self),
    ("GET", "/machines", FakeMachines.list_machines),
    ("POST", "/machines", FakeMachines.add_machine),
    ("GET", f"/machines/{ID}", FakeMachines.show_machine),
    ("PUT", f"/machines/{ID}", FakeMachines.put_machine),
    ("DELETE", f"/machines/{ID}", FakeMachines.remove_machine),
]
