"""Request bodies that replace the keys of an account."""

import secrets

from tests import factories
from vaultr.auth.models import KeySet
from vaultr.database.session import transaction
from vaultr.machines.models import Machine
from vaultr.protocol.encoding import b64
from vaultr.protocol.kdf import Kdf
from vaultr.vault.models import VaultKey


def new_keys(auth_key, *, epoch=2, revision=2):
    """Return a valid body for ``PUT /auth/credentials``."""
    return {
        "auth_key": b64(auth_key),
        "kdf": Kdf.RECOMMENDED.to_json(),
        "salt": b64(secrets.token_bytes(32)),
        "account_key": {"epoch": epoch, "sealed": b64(factories.sealed(32))},
        "profile": {"revision": revision, "sealed": b64(factories.sealed(500))},
    }


def rewrapped(app, account_id):
    """Return a `rewrap` with all wraps sealed again."""
    with app.app_context(), transaction() as work:
        key_set = work.get(KeySet, account_id)
        wraps = work.query(VaultKey).filter_by(holder_id=account_id).all()
        machines = work.query(Machine).filter_by(account_id=account_id).order_by(Machine.id).all()
    return {
        "identity": {
            "x25519": {"public": b64(key_set.x25519_public), "sealed": b64(factories.sealed(32))},
            "ed25519": {"public": b64(key_set.ed25519_public), "sealed": b64(factories.sealed(32))},
        },
        "vaults": [
            {
                "vault_id": str(one.vault_id),
                "generation": one.generation,
                "sealed_key": b64(factories.sealed(64)),
            }
            for one in wraps
        ],
        "machines": [
            {"id": str(one.id), "sealed_kek": b64(factories.sealed(32))} for one in machines
        ],
    }
