"""An account with thousands of wraps can replace its account key; parallel changes are rejected."""

import secrets
from uuid import uuid4

from tests import factories
from tests.harness.key_replacement import new_keys, rewrapped
from tests.harness.threads import at_once
from vaultr.auth.models import Account
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64, unb64
from vaultr.vault.models import VAULT_KEYS, VaultKey

CREDENTIALS, VAULTS = "/api/v1/auth/credentials", "/api/v1/vaults"
ANN = "ann@example.org"


def wraps(app, account_id):
    with app.app_context(), transaction() as work:
        rows = work.query(VaultKey).filter_by(holder_id=account_id).all()
        return {(str(row.vault_id), row.generation): row.sealed_key for row in rows}


def test_thousands_of_wraps_are_replaced_in_one_request(app, as_ann):
    with app.app_context():
        vaults = [factories.vault(ANN).id for _ in range(2)]
        sealed = factories.sealed(64)
        rows = [
            {
                "vault_id": vault, "holder_id": as_ann.account_id, "generation": generation,
                "role": "owner", "sealed_key": sealed, "audit_event_id": uuid4(),
            }
            for vault in vaults
            for generation in range(2, 2002)
        ]  # fmt: skip
        with transaction() as work:
            work.execute(VAULT_KEYS.insert(), rows)
    rewrap = rewrapped(app, as_ann.account_id)

    response = as_ann.put(CREDENTIALS, json=new_keys(b"n" * 32) | {"rewrap": rewrap})

    assert response.status_code == 204
    assert wraps(app, as_ann.account_id) == {
        (one["vault_id"], one["generation"]): unb64(one["sealed_key"]) for one in rewrap["vaults"]
    }
    assert len(rewrap["vaults"]) == 4002


def test_concurrent_vault_is_rewrapped_or_not_created(app, count):
    """A vault created at the same moment is either included, or not created."""
    for number in range(count(3, many=100)):
        email = f"ann{number}@example.org"
        with app.app_context():
            session = factories.session(factories.owner(email))
            factories.vault(email)
        change = new_keys(secrets.token_bytes(32)) | {"rewrap": rewrapped(app, session.account_id)}
        made = {"id": str(uuid4()), "sealed_key": b64(factories.sealed(64))}
        made["overview"] = b64(factories.sealed())

        def do(which, session=session, change=change, made=made):
            client = app.test_client()
            if which:
                return client.post(VAULTS, json=made, headers=session.headers).status_code
            return client.put(CREDENTIALS, json=change, headers=session.headers).status_code

        changed, created = at_once(do, 2)

        assert (changed, created) in {(204, 401), (409, 201)}
        with app.app_context(), transaction() as work:
            epoch = work.get(Account, session.account_id).epoch
        assert (epoch, len(wraps(app, session.account_id))) == (
            (2, 1) if changed == 204 else (1, 2)
        )
