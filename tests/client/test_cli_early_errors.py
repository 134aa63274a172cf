"""Commands do not ask for a secret if they already know that they will fail.

These commands get neither a password nor a terminal, so one that asks first fails with another
error.
"""

import pytest

from tests.harness.client.devices import Device
from tests.harness.client.owners import owner
from tests.harness.client.terminal import Terminal


@pytest.fixture(scope="module")
def signed_out(site, tmp_path_factory):
    device = owner(site, tmp_path_factory.mktemp("out"), "out@example.org")
    device.done("add", "note", "--json", stdin='{"overview": {"title": "Kept"}}')
    device.done("logout")
    return device


@pytest.mark.parametrize(
    "words", [("list",), ("show", "Kept"), ("sync",), ("logout", "--all"), ("passwd",)]
)
def test_logged_out_device_fails_before_prompts(signed_out, words):
    message = signed_out.fails(1, *words, password=None)

    assert "This device is logged out" in message
    assert "vaultr login" in message


def test_offline_commands_work_on_logged_out_device(signed_out, tmp_path):
    for age in ((), ("--max-age", "7d")):
        assert len(signed_out.run_json("list", "--offline", *age)) == 1
    assert len(signed_out.run_json("list", "--max-age", "7d")) == 1
    signed_out.done("kit", str(tmp_path / "kit.html"))
    signed_out.done("logout")


def test_unlock_without_account_fails_before_prompt(site, tmp_path):
    message = Device(tmp_path / "home", site.url).fails(2, "unlock", password=None)

    assert "belongs to no account" in message


@pytest.mark.parametrize("command", ["signup", "login"])
def test_missing_server_is_reported_before_prompts(tmp_path, command):
    message = Device(tmp_path / "home", "").fails(2, command, password=None)

    assert "--url" in message
    assert "VAULTR_URL" in message


def test_signup_on_device_with_account_prompts_nothing(account):
    message = account.fails(2, "signup", password=None)

    assert "belongs to account" in message
    assert "VAULTR_DIR" in message


def test_mistyped_vault_name_deletes_nothing_and_prompts_nothing(device):
    device.done("vaults", "add", "Precious", password=None)

    message = device.fails(2, "vaults", "rm", "Precious", "--confirm", "Precioous", password=None)

    assert "not the name" in message
    assert "Precious" in device.done("vaults", "list", password=None)


def test_wrong_password_is_reported_before_new_password_prompt(account):
    environ = {**account.environ, "TERM": "xterm", "COLUMNS": "100"}
    terminal = Terminal("passwd", "--nobody-knows", environ=environ)

    for _ in range(3):
        terminal.answers("Master password: ", "not this one, surely")

    assert terminal.ends() == 1
    assert "The master password is wrong." in terminal.shown
    assert "New master password" not in terminal.shown


@pytest.mark.parametrize(
    "words",
    [
        ("add", "login"),
        ("add", "note", "--title", "x", "--json"),
        ("edit", "Mail", "--secret", "password"),
        ("import", "-", "--title", "x"),
    ],
    ids=" ".join,
)
def test_locked_device_exits_3_before_reading_stdin(account, words):
    message = account.fails(3, *words, stdin="not read", password=None)

    assert "This device is locked. Run `vaultr unlock`" in message


@pytest.mark.parametrize("words", [("add", "login"), ("import", "-", "--title", "x")])
def test_device_without_account_fails_before_any_prompt(site, tmp_path, words):
    device = Device(tmp_path / "home", site.url)

    assert "belongs to no account" in device.fails(2, *words, stdin="not read", password=None)


def test_logged_out_device_fails_before_item_prompts(signed_out):
    terminal = Terminal("add", "login", environ={**signed_out.environ, "TERM": "xterm"})

    assert terminal.ends() == 1
    assert "vaultr login" in terminal.shown
    assert "Title" not in terminal.shown
