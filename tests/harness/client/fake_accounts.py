"""The account routes of the fake server: credentials, sessions, recovery."""

import secrets
from datetime import UTC, datetime, timedelta

from tests.harness.client.fake_vaults import ServiceError
from vaultr.client.crypto.primitives import sha256
from vaultr.protocol.encoding import b64, unb64

WAIT = timedelta(hours=24)


class FakeAccounts:
    """An honest server; ``machines`` are the machines' sealed keys, by id.

    ``totp`` is the only code that is accepted as a second factor, if the account has one.
    """

    totp = None
    recovery = None

    def step_up_now(self, *, body, request, **_):
        if body["auth_key"] != self.account["auth_key"]:
            raise ServiceError("credentials-invalid")
        self._check_factor(body)
        self._session_of(request)["fresh"] = True
        return 204, None

    def _check_factor(self, body):
        if self.totp is None:
            return
        sent = [body[name] for name in ("totp", "recovery_code") if name in body]
        if not sent:
            raise ServiceError("second-factor-required")
        if sent != [self.totp]:
            raise ServiceError("credentials-invalid")

    def _session_of(self, request):
        token = request.headers["Authorization"].removeprefix("Bearer ")
        return next(each for each in self.sessions.values() if each["access"] == token)

    def _check_fresh(self, request):
        if not self._session_of(request).get("fresh"):
            raise ServiceError("step-up-required")

    def logout_all(self, *, request, **_):
        self._check_fresh(request)
        self.sessions = {}
        return 204, None

    def delete_account(self, *, request, **_):
        self._check_fresh(request)
        self.sessions, self.vaults, self.account = {}, {}, None
        return 204, None

    def put_credentials(self, *, body, request, **_):
        self._check_fresh(request)
        self._replace(body)
        own = self._session_of(request)
        self.sessions = {name: each for name, each in self.sessions.items() if each is own}
        own["access"] = "void"
        return 204, None

    def _replace(self, body):
        account = self.account
        stored = (account["account_key"]["epoch"], account["profile"]["revision"])
        provided = (body["account_key"]["epoch"] - 1, body["profile"]["revision"] - 1)
        if stored != provided:
            raise ServiceError("precondition-failed", revision=stored[1])
        wraps = body.get("rewrap")
        if wraps is not None:
            self._rewrap(wraps)
            self.account.pop("recovery_key", None)
        names = ("auth_key", "kdf", "salt", "account_key", "profile")
        self.account = self.account | {name: body[name] for name in names}

    def _rewrap(self, wraps):
        named = {
            (each["vault_id"], each["generation"]): each["sealed_key"] for each in wraps["vaults"]
        }
        stored = [(vault, each) for vault in self.vaults.values() for each in vault["keys"]]
        machines = {each["id"]: each["sealed_kek"] for each in wraps["machines"]}
        if named.keys() != {(vault["id"], each["generation"]) for vault, each in stored}:
            raise ServiceError("conflict")
        publics = {kind: each["public"] for kind, each in self.account["identity"].items()}
        if machines.keys() != self.machines.keys() or publics != {
            kind: each["public"] for kind, each in wraps["identity"].items()
        }:
            raise ServiceError("conflict")
        for vault, each in stored:
            each["sealed_key"] = named[vault["id"], each["generation"]]
        self.machines = machines
        self.account = self.account | {"identity": wraps["identity"]}

    def put_recovery_key(self, *, body, request, **_):
        self._check_fresh(request)
        if body["epoch"] != self.account["account_key"]["epoch"]:
            raise ServiceError("precondition-failed")
        self.account["recovery_key"] = body
        return 204, None

    def remove_recovery_key(self, *, request, **_):
        self._check_fresh(request)
        if self.account.pop("recovery_key", None) is None:
            raise ServiceError("not-found")
        return 204, None

    def recover(self, *, body, **_):
        if self.account is not None and body["email"] == self.account["email"]:
            self.recovery = {"token": secrets.token_urlsafe(32), "ready_at": None}
        return 202, None

    def start_recovery(self, *, body, **_):
        found = self._recovery(body)
        now = datetime.now(UTC)
        found["ready_at"] = found["ready_at"] or now + WAIT
        answer = {
            "ready_at": found["ready_at"].isoformat(timespec="seconds").replace("+00:00", "Z")
        }
        if found["ready_at"] > now:
            return 200, answer
        stored = self.account["recovery_key"]
        return 200, answer | {
            "recovery_key": {"sealed": stored["sealed"], "epoch": stored["epoch"]},
            "key_set": self._me()["key_set"],
            "vaults": [{"vault_id": v["id"], "keys": v["keys"]} for v in self.vaults.values()],
            "machines": [{"id": each, "sealed_kek": kek} for each, kek in self.machines.items()],
        }

    def complete_recovery(self, *, body, **_):
        found = self._recovery(body)
        if found["ready_at"] is None or found["ready_at"] > datetime.now(UTC):
            raise ServiceError("recovery-pending")
        self._replace(body)
        self.sessions, self.recovery = {}, None
        return 204, None

    def _recovery(self, body):
        stored = (self.account or {}).get("recovery_key")
        proof = b64(sha256(unb64(body["rk_auth"])))
        found = self.recovery
        if (
            not found
            or not stored
            or (body["token"], proof) != (found["token"], stored["verifier"])
        ):
            raise ServiceError("token-invalid")
        return found


ROUTES = [
    ("POST", "/auth/step-up", FakeAccounts.step_up_now),
    ("POST", "/auth/logout-all", FakeAccounts.logout_all),
    ("DELETE", "/auth/account", FakeAccounts.delete_account),
    ("PUT", "/auth/credentials", FakeAccounts.put_credentials),
    ("PUT", "/auth/recovery-key", FakeAccounts.put_recovery_key),
    ("DELETE", "/auth/recovery-key", FakeAccounts.remove_recovery_key),
    ("POST", "/auth/recover", FakeAccounts.recover),
    ("POST", "/auth/recover/start", FakeAccounts.start_recovery),
    ("POST", "/auth/recover/complete", FakeAccounts.complete_recovery),
]
