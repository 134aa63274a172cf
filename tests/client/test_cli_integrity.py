"""Error messages and exit codes when the server's response fails verification."""

import copy
import re

import pytest

from tests.harness.client.devices import PASSWORD, Device
from tests.harness.client.fake_server import FakeServer
from tests.harness.client.world import mail
from tests.harness.client.wsgi_server import WsgiServer
from vaultr import Vaultr
from vaultr.client.crypto.keys import secret_key_bytes
from vaultr.protocol.encoding import b64


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory):
    """A device with an agent, and the server that it trusts."""
    fake, home = FakeServer(), tmp_path_factory.mktemp("integrity")
    listening = WsgiServer(fake.wsgi)
    device = Device(home, listening.url).with_agent()
    device.server = fake
    try:
        with Vaultr(listening.url, home=home / "vaultr", agent=False) as owner:
            owner.signup(device.email, PASSWORD)
            owner.verify("token0")
            owner.login(device.email, PASSWORD)
            owner.add("login", *mail())
            device.old = copy.deepcopy(fake.vaults)
            owner.add("login", *mail("Bank"))
        device.done("unlock")
        yield device
        device.done("lock", password=None)
    finally:
        listening.close()


@pytest.fixture
def device(unlocked):
    yield unlocked
    unlocked.server.tamper = None


def test_rolled_back_vault_names_both_heads_and_next_step(device):
    newest, device.server.vaults = device.server.vaults, copy.deepcopy(device.old)

    message = device.fails(5, "list", password=None)

    assert re.search(
        r"older state of vault .*: one of your devices saw revision 2 \([0-9a-f]{12}\), "
        r".* revision 1 \([0-9a-f]{12}\)",
        message,
    )
    assert "On this device, this vault is named Personal." in message
    assert "vaultr sync --explain" in message
    assert "Bank" in device.done("list", "--offline", password=None)
    explained = device.types("sync", "--explain", password=None)
    assert explained.returncode == 5
    assert "the server does not have it (this device has revision 2)" in explained.stdout
    device.server.vaults = newest


def test_new_entries_raise_no_integrity_error(device):
    with Vaultr(device.environ["VAULTR_URL"], home=device.home / "phone", agent=False) as phone:
        key = (device.home / "vaultr").glob("secret-*.key")
        phone.login(device.email, PASSWORD, secret_key=secret_in(next(key)))
        phone.trash("Bank")
        phone.restore("Bank")

    result = device.types("sync", "--explain", password=None)

    assert result.returncode == 0
    assert "To fetch them: vaultr sync" in result.stderr
    device.done("sync", password=None)


def secret_in(file):
    return secret_key_bytes(file.read_text().splitlines()[1])


TAMPERINGS = {
    "another salt": ({"salt": b64(bytes(range(1, 33)))}, "vaultr login --changed"),
    "another cost": (
        {"kdf": {"alg": "argon2id", "m": 131072, "t": 3, "p": 4}},
        "vaultr login --changed",
    ),
    "a weak cost": ({"kdf": {"alg": "argon2id", "m": 1, "t": 3, "p": 4}}, "do not type"),
    "another account": ({"account_id": "00000000-0000-4000-8000-000000000000"}, "do not type"),
}


@pytest.mark.parametrize("attack", TAMPERINGS)
def test_unusable_login_response_prints_next_step(device, attack):
    change, advice = TAMPERINGS[attack]

    def tamper(method, path, status, body):
        return (status, body | change) if path.endswith("prelogin") else (status, body)

    device.server.tamper = tamper
    message = device.fails(5, "login")

    assert "The password was not used" in message
    assert advice in message


def test_invalid_response_and_wrong_head_exit_5(device):
    def tamper(method, path, status, body):
        if path.endswith("/sync") and status == 304:
            return 200, {"items": "none"}
        return status, body

    device.server.tamper = tamper
    message = device.fails(5, "list", password=None)
    assert "sync.through is not a whole number" in message
    assert "This is not a Vaultr server" in message

    for vault in device.server.vaults.values():
        vault["head"] = b64(bytes(32))
    device.server.tamper = None
    assert "two histories" in device.fails(5, "list", password=None)
