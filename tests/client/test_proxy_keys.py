"""`vaultr` and a malicious server: withheld keys, an expensive derivation, and a relay."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.client.tampering_proxy import secrets_of
from tests.harness.client.world import EMAIL, PASSWORD
from vaultr.client.crypto.keys import secret_key_text
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import IntegrityError
from vaultr.protocol.kdf import Kdf

NEW = "another master password"


def rotated(proxy):
    with proxy.opened() as laptop:
        laptop.rotate()


def lost_password(proxy):
    """Wait until a recovery can be completed; return the token and the recovery key."""
    with proxy.opened() as laptop:
        laptop.step_up(PASSWORD)
        paper = laptop.create_recovery_key().text
    proxy.types("recover", "--email", EMAIL, on="new", password=None)
    with proxy.sdk("new") as new:
        new.start_recovery(EMAIL, proxy.server.recovery["token"], RecoveryKey.read(paper))
    proxy.server.recovery["ready_at"] = datetime.now(UTC) - timedelta(seconds=1)
    return proxy.server.recovery["token"], paper


def recovers(proxy, token, paper):
    """Complete the recovery with the command."""
    with proxy.sdk("new") as new:
        new.complete_recovery(new.start_recovery(EMAIL, token, RecoveryKey.read(paper)), NEW)


def without_keys(*generations):
    def tamper(body):
        for vault in body["vaults"]:
            vault["keys"] = [k for k in vault["keys"] if k["generation"] not in generations]
        return body

    return tamper


@pytest.mark.parametrize("hidden", [1, 2])
def test_recovery_with_withheld_keys_sends_nothing(proxy, hidden):
    rotated(proxy)
    token, paper = lost_password(proxy)
    proxy.change("POST", "/auth/recover/start", without_keys(hidden))

    with pytest.raises(IntegrityError) as caught:
        recovers(proxy, token, paper)

    assert f"did not return version {hidden} of them" in str(caught.value)
    assert "recovery key stays valid" in " ".join(caught.value.__notes__)
    assert not [path for _, path, _ in proxy.server.requests if path.endswith("recover/complete")]
    proxy.server.tamper = None
    recovers(proxy, token, paper)
    with proxy.sdk("new") as new:
        new.login(EMAIL, NEW)
        assert secrets_of(new) == {"Mail": "first Mail", "Bank": "first Bank"}


def test_new_device_rejects_withheld_oldest_keys(proxy):
    rotated(proxy)

    def tamper(body):
        vault = body["vault"]
        vault["keys"] = [key for key in vault["keys"] if key["generation"] != 1]
        return body

    proxy.change("GET", "/sync", tamper)
    with proxy.sdk("tablet") as tablet:
        tablet.login(EMAIL, PASSWORD, secret_key=proxy.secret_key)
    result = proxy.types("list", on="tablet")

    assert result.code == 5
    assert "did not return version 1 of them" in result.err


def test_recovery_ignores_kdf_cost_of_prelogin(proxy):
    token, paper = lost_password(proxy)
    proxy.change(
        "POST",
        "/auth/prelogin",
        lambda body: body | {"kdf": Kdf("argon2id", 2**20, 16, 4).to_json()},
    )

    recovers(proxy, token, paper)

    assert proxy.server.account["kdf"] == Kdf.RECOMMENDED.to_json()


def test_login_through_relay_reports_what_it_received(proxy):
    relay = proxy.url.replace("127.0.0.1", "localhost")

    result = proxy.types(
        "login",
        "--email",
        EMAIL,
        on="tablet",
        url=relay,
        also=[("--secret-key-fd", secret_key_text(proxy.secret_key))],
    )

    assert result.code == 5
    assert f"belongs to {proxy.url}, but you logged in through {relay}" in result.err
    assert "can now log in to your account" in result.err
    assert "vaultr passwd" in result.err
    assert "was not used" not in result.err
