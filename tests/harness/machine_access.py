"""A machine of an account with its token, as created by its owner and as it sends requests."""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests import factories
from vaultr.protocol.encoding import b64

MACHINES = "/api/v1/machines"
SELF = f"{MACHINES}/self"


def later(**span):
    """Return a time in the future in the API's format."""
    return (datetime.now(UTC) + timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def grant(vault, rights="read", generations=None):
    """Return access to a vault of `factories.vault` or a `Writer`, with wraps of its keys."""
    numbers = range(1, vault.generation + 1) if generations is None else generations
    keys = [{"generation": one, "sealed_key": b64(factories.sealed(100))} for one in numbers]
    return {"vault_id": str(vault.id), "rights": rights, "keys": keys}


def body(*grants, **more):
    """Return a body for ``POST /machines`` without its key."""
    made = {
        "id": str(uuid4()),
        "name": "ci",
        "sealed_kek": b64(factories.sealed(32)),
        "expires_at": later(days=90),
        "vaults": list(grants),
    }
    return made | more


class Machine:
    """The holder of a token; it sends the key that it derives from the token."""

    def __init__(self, app, machine_id, secret=None):
        self.app, self.id = app, machine_id
        self.renew(secret or secrets.token_bytes(32))

    @classmethod
    def created(cls, owner, *grants, **more):
        """Create a machine with its owner's client; this must succeed."""
        requested = body(*grants, **more)
        machine = cls(owner.application, requested["id"])
        response = owner.post(MACHINES, json=requested | {"auth_key": b64(machine.auth_key)})
        assert response.status_code == 201, response.json
        return machine

    def renew(self, secret):
        """Generate another token."""
        self.token = f"vmt_{self.id}_{b64(secret)}"
        self.auth_key = hmac.digest(secret, b"machine-auth", hashlib.sha256)
        self.credential = f"vma_{self.id}_{b64(self.auth_key)}"
        return self

    @property
    def path(self):
        return f"{MACHINES}/{self.id}"

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.credential}"}

    def client(self, address="127.0.0.1"):
        """Return a client that authenticates as the machine, from a network address."""
        client = self.app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = self.headers["Authorization"]
        client.environ_base["REMOTE_ADDR"] = address
        return client

    def writer(self, vault):
        """Return a `Writer` of the vault that writes as the machine."""
        other = vault.twin(self.client())
        other.author_id = factories.UUID(str(self.id))
        return other


def edited(shown, *grants, **more):
    """Return a body for ``PUT /machines/{id}`` that changes only the named members."""
    names = ("name", "expires_at", "networks")
    return {name: shown[name] for name in names} | {"vaults": list(grants)} | more
