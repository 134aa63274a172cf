"""An abuser's requests: every route, as costly as possible."""

import json
import re

from tests import factories
from tests.harness.abusers import Hostile
from tests.harness.key_replacement import new_keys
from vaultr.protocol.encoding import b64
from vaultr.protocol.sizes import BODY_BYTES

LARGEST = 16 * BODY_BYTES
# The most costly query of each route.
QUERIES = {
    "vaults.sync_vault": "since=0&limit=1000",
    "vaults.list_items": "limit=200",
    "vaults.list_versions": "limit=200",
    "vaults.list_vaults": "limit=200",
    "audit.events": "action=item.read&limit=200",
    "web.verify_email": "token=%key%",
}


def of_anonymous(app, victims):
    """List requests without authentication: every route once, and the most costly again.

    :param victims: email addresses of accounts.
    """
    victim = victims[0]
    bodies = _public_bodies(victim)
    found = [_request(name, method, path, bodies.get(name)) for name, method, path in _routes(app)]
    for one in victims:
        found.append(_json("POST", "/api/v1/auth/login", factories.login(one, key=b"x" * 32)))
        found.append(_json("POST", "/api/v1/auth/prelogin", {"email": one}))
    proof = json.dumps({"token": "a" * 43, "rk_auth": "A" * 43})[:-1] + ',"rewrap":"'
    found += [
        Hostile("POST", "/api/v1/auth/recover/complete", proof, LARGEST - len(proof)),
        Hostile("POST", "/api/v1/auth/prelogin", "[", BODY_BYTES - 1),
        Hostile("POST", "/api/v1/auth/prelogin", "{", 2 * BODY_BYTES),
        Hostile("POST", "/api/v1/auth/verify-email", "[" * 1000),
        Hostile("GET", "/api/v1/nowhere/%uuid%"),
        Hostile("GET", "/api/v1/vaults", headers={"Authorization": "Bearer %key%"}),
    ]
    return found


def of_account(app, owned, session, stale, email):
    """List requests of an account: every route once, and the most costly again.

    :param owned: an item of the account, in a vault with many items.
    :param stale: a session whose step-up has expired, for requests that would end the attack.
    """
    bodies = _account_bodies(email)
    assert {*bodies, *QUERIES} <= {name for name, _, _ in _routes(app)}
    ids = {"vault_id": owned.vault_id, "item_id": owned.id, "revision": owned.revision}
    ending = {"auth.logout_all", "auth.delete_account", "vaults.delete_vault"}
    found = []
    for name, method, path in _routes(app, ids):
        headers = stale.headers if name in ending else {}
        if name == "auth.logout":
            headers = {"Authorization": "Bearer rubbish"}
        if method == "POST" and name not in ending:
            found.append(_request(name, method, path, bodies.get(name), {"Idempotency-Key": "one"}))
        found.append(_request(name, method, path, bodies.get(name), headers))
    vault = f"/api/v1/vaults/{owned.vault_id}"
    batch = '{"changes":[' + ",".join(["{}"] * 200_000) + "]}"
    stored, new_vault = {"Idempotency-Key": "%uuid%"}, json.dumps(bodies["vaults.create_vault"])
    found += [
        *[Hostile("GET", f"{vault}/sync?since=0&limit=1000")] * 4,
        *[Hostile("GET", f"{vault}/items/{owned.id}")] * 4,
        *[Hostile("GET", "/api/v1/vaults/%uuid%/items/%uuid%")] * 4,
        *[Hostile("GET", f"{vault}/items/%uuid%")] * 4,
        Hostile("POST", f"{vault}/changes", batch, LARGEST - len(batch)),
        Hostile("POST", f"{vault}/changes?dry_run=true", "{", LARGEST - 1),
        Hostile("POST", "/api/v1/vaults", new_vault, headers=stored),
        _json("POST", "/api/v1/auth/login", factories.login(email) | {"device": _device()}),
        _json("POST", "/api/v1/auth/refresh", {"refresh_token": session.refresh_token}),
        _json("POST", "/api/v1/auth/step-up", {"auth_key": b64(factories.auth_key(email))}),
    ]
    return found


def _public_bodies(email):
    return {
        "auth.prelogin": {"email": "%name%@example.org"},
        "auth.sign_up": factories.signup("x@example.org")
        | {"account_id": "%uuid%", "email": "%name%@example.org"},
        "auth.resend_verification": {"email": email, "account_id": "%uuid%"},
        "auth.verify_email": {"token": "%key%"},
        "auth.login": factories.login("%name%@example.org", key=b"x" * 32) | {"device": _device()},
        "auth.refresh": {"refresh_token": "%key%"},
        "auth.recover": {"email": "%name%@example.org"},
        "auth.start_recovery": {"token": "%key%", "rk_auth": "A" * 43},
        "auth.complete_recovery": {"token": "%key%", "rk_auth": "A" * 43},
        "auth.cancel_recovery_by_token": {"token": "%key%"},
        "auth.confirm_email_change": {"token": "%key%"},
        "auth.undo_email_change": {"token": "%key%"},
    }


def _account_bodies(email):
    sealed, small = b64(factories.sealed(500)), b64(factories.sealed(32))
    entry = {"n": 1, "prev": "A" * 43, "vouch": "A" * 43, "mac": "A" * 43}
    machine = {
        "name": "job", "expires_at": "2099-01-01T00:00:00Z", "vaults": [],
        "id": "%uuid%", "auth_key": "%key%", "sealed_kek": small,
    }  # fmt: skip
    return _public_bodies(email) | {
        "auth.step_up": {"auth_key": "%key%"},
        "auth.confirm_totp": {"code": "000000"},
        "auth.write_profile": {"revision": 2, "sealed": sealed},
        "auth.change_credentials": new_keys(b"x" * 32, epoch=1000, revision=1000),
        "auth.put_recovery_key": {"verifier": "%key%", "sealed": small, "epoch": 1},
        "auth.change_email": {"email": "%name%@example.org"},
        "machines.create_machine": machine,
        "machines.replace_machine": machine,
        "vaults.create_vault": {"id": "%uuid%", "sealed_key": small, "overview": sealed},
        "vaults.rename_vault": {"overview": sealed, "generation": 1, "entry": entry},
        "vaults.begin_rotation": {
            "generation": 2, "sealed_key": small, "machines": [], "entry": entry,
        },
        "vaults.finish_rotation": {"entry": entry},
        "vaults.repair_vault": {"entry": entry},
        "vaults.trash_item": {"entry": entry},
        "vaults.restore_item": {"entry": entry},
        "vaults.remove_item": {"entry": entry},
    }  # fmt: skip


def _device():
    return {"id": "%uuid%", "name": "laptop"}


def _routes(app, ids=None):
    """Yield endpoint, method and path of each route, with random ids where none are known."""
    known = {"prefix": "00000", "revision": "1", "name": "nothing", **(ids or {})}

    def value(part):
        return str(known.get(part[1].rpartition(":")[2], "%uuid%"))

    for rule in app.url_map.iter_rules():
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, method, re.sub(r"<([^<>]+)>", value, rule.rule)


def _request(name, method, path, body, headers=None):
    query = QUERIES.get(name)
    path = path if query is None else f"{path}?{query}"
    if body is None and method in ("POST", "PUT"):
        body = {}
    return Hostile(method, path, None if body is None else json.dumps(body), headers=headers or {})


def _json(method, path, body):
    return Hostile(method, path, json.dumps(body))
