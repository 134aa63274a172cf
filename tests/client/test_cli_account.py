import base64
import re
import socket
from uuid import UUID

import pytest

from tests.harness.client.devices import NOBODY, Device


def test_signup_prints_account_secret_key_and_code(account):
    UUID(account.made["account_id"])
    assert len(base64.urlsafe_b64decode(account.made["secret_key"] + "=")) == 32
    assert re.fullmatch("[0-9a-f]{8}", account.made["code"])


def test_new_device_without_secret_key_exits_1_before_sending(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        device = Device(tmp_path / "new", url)

        message = device.fails(1, "login", "--email", device.email)

        assert "secret key" in message
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("key", ["short", "A" * 43, "!" * 43])
def test_wrong_secret_key_is_rejected_and_not_printed(account, site, tmp_path, key):
    device = Device(tmp_path / "new", site.url, account.email)

    message = device.fails(1, "login", "--email", device.email, secret_key=key)

    assert key not in message


def test_wrong_password_is_rejected(account):
    message = account.fails(1, "list", password="another password entirely")

    assert "another password" not in message


def test_command_without_password_and_terminal_exits_3(account):
    message = account.fails(3, "list", password=None)

    assert "vaultr unlock" in message


def test_folder_without_account_prints_next_step(site, tmp_path):
    device = Device(tmp_path / "empty", site.url)

    message = device.fails(2, "list")

    assert "login" in message


def test_unreachable_server_exits_4(tmp_path):
    device = Device(tmp_path / "new", NOBODY)

    message = device.fails(4, "signup", "--email", device.email)

    assert "127.0.0.1:9" in message


def test_other_server_is_rejected_before_anything_is_sent(account):
    message = account.fails(5, "list", env=[("VAULTR_URL", NOBODY)])

    assert account.environ["VAULTR_URL"] in message


def test_login_with_another_email_address_is_rejected(account):
    assert "another account" in account.fails(2, "list", "--email", "bob@example.org")


def test_sync_prints_revision_and_head_of_each_vault(account):
    [vault, *_] = account.run_json("sync")

    assert set(vault) == {"id", "name", "revision", "head", "received", "removed"}
    assert "agree" in account.types("sync", "--explain").stderr
    assert account.run_json("sync", "--explain") == []


def test_vaults_are_created_listed_and_renamed(account):
    made = account.run_json("vaults", "add", "Work")

    renamed = account.run_json("vaults", "rename", "Work", "Büro")

    assert renamed["id"] == made["id"]
    names = {vault["id"]: vault["name"] for vault in account.run_json("vaults", "list")}
    assert names[made["id"]] == "Büro"
    item = account.run_json(
        "add", "note", "--vault", "Büro", stdin='{"overview": {"title": "in the office"}}'
    )
    assert item["vault_id"] == made["id"]


def test_folder_contains_no_plaintext(account):
    document = '{"overview": {"title": "Titel-xyzzy-1"}, "detail": {"notes": "notes-xyzzy-2"}}'
    account.run_json("add", "note", "--vault", "Personal", stdin=document)
    account.done("sync")

    found = [
        path
        for path in account.home.rglob("*")
        if path.is_file() and (b"xyzzy" in (data := path.read_bytes()) or b"master pass" in data)
    ]

    assert found == []


def test_unlock_serves_commands_without_password_until_lock(account):
    person = account.with_agent()
    person.done("unlock")

    assert person.types("list", password=None).returncode == 0

    person.done("lock", password=None)
    assert person.types("list", password=None).returncode == 3
