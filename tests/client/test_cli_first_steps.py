"""The first minutes: sign up and log in, with and without a terminal."""

import pytest

from tests.harness.client.devices import Device
from tests.harness.client.mailbox import mailed
from tests.harness.client.terminal import Terminal


def at_terminal(device, *words):
    return Terminal(*words, environ={**device.environ, "TERM": "xterm", "COLUMNS": "100"})


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda key: key[:-1], "it has 42 characters, but a secret key has 43"),
        (lambda key: key[:-1] + "é", "has only letters and digits without accents, - and _."),
        (lambda key: key[:-1] + "B", "its last character is not possible there"),
    ],
)
def test_invalid_secret_key_is_rejected_before_sending(account, tmp_path, spoil, why):
    device = Device(tmp_path / "home", "http://127.0.0.1:9", email=account.email)
    key = account.made["secret_key"]

    message = device.fails(1, "login", "--email", account.email, secret_key=spoil(key))

    assert why in message
    assert key[:20] not in message


def test_mistyped_secret_key_prompts_again_and_sends_nothing(account, site, tmp_path):
    device = Device(tmp_path / "home", site.url, email=account.email)
    key = account.made["secret_key"]
    terminal = at_terminal(device, "login", "--email", account.email)

    terminal.answers("Master password: ", account.password)
    terminal.answers("Secret key, or the text of your emergency kit: ", key[1:])
    terminal.answers("Secret key, or the text of your emergency kit: ", f"{key[:20]} {key[20:]}")

    assert terminal.ends() == 0
    assert "it has 42 characters, but a secret key has 43. Nothing was sent." in terminal.shown
    assert key[1:21] not in terminal.shown


def test_rejected_login_names_a_typed_secret_key(account, site, tmp_path):
    device = Device(tmp_path / "home", site.url, email=account.email)
    account.done("kit", str(tmp_path / "kit.html"))

    message = device.fails(1, "login", "--email", account.email, secret_key="A" * 43)

    assert "Check the secret key too: upper and lower case matter" in message
    assert "emergency kit" in message
    assert "secret key" not in account.fails(1, "login", password="another password entirely")


def test_signup_explains_how_to_print_the_secret_key(site, tmp_path):
    device = Device(tmp_path / "home", site.url, email="paper@example.org")

    assert "emergency kit (`vaultr kit`)" in device.done("signup", "--email", device.email)


def test_invalid_email_is_rejected_before_password_prompt(account, tmp_path):
    device = Device(tmp_path / "home", "http://127.0.0.1:9")

    for words in (("signup",), ("login",), ("recover",)):
        assert "not an email address" in device.fails(2, *words, "--email", "ann.example.org")
    message = account.fails(2, "email", "change", "ann@", password=None)
    assert "not an email address" in message


def test_invalid_email_address_is_prompted_again(site, tmp_path):
    terminal = at_terminal(Device(tmp_path / "home", site.url), "signup")

    terminal.answers("Email address: ", "ann")
    terminal.answers("Email address: ", "ann@example.org")
    terminal.presses_ctrl_c("New master password: ")

    assert terminal.ends() == 130
    assert "That is not an email address" in terminal.shown


@pytest.mark.parametrize("command", ["signup", "login"])
def test_unreachable_server_is_reported_before_any_password(tmp_path, command):
    device = Device(tmp_path / "home", "http://127.0.0.1:9")

    terminal = at_terminal(device, command, "--email", "ann@example.org")

    assert terminal.ends() == 4
    assert "assword: " not in terminal.shown


def test_confirmation_link_is_accepted_like_its_token(site, tmp_path):
    device = Device(tmp_path / "home", site.url, email="link@example.org")
    device.done("signup", "--email", device.email)
    link = mailed(site, device.email, r"^(\S+/verify-email\?token=\S+)$")[-1]

    device.done("verify", link, password=None)

    device.done("login")
    device.done("email", "change", "linked@example.org")
    for address in (device.email, "linked@example.org"):
        link = mailed(site, address, r"^(\S+/email/confirm\?token=\S+)$")[-1]
        device.done("email", "confirm", f"{link}&utm=1", password=None)
    device.done("login", "--email", "linked@example.org")


def test_first_unlock_prompts_again_after_wrong_password(site, tmp_path):
    device = Device(tmp_path / "home", site.url, email="mistyped-first@example.org").with_agent()
    device.done("signup", "--email", device.email)
    device.done("verify", site.token(of=device.email), password=None)

    terminal = at_terminal(device, "unlock")
    terminal.answers("Master password: ", "not this one, surely")
    terminal.answers("Master password: ", device.password)

    assert terminal.ends() == 0
    assert "is wrong. Try again." in terminal.shown
    assert device.done("lock", password=None) == "Locked.\n"


@pytest.mark.parametrize("command", ["unlock", "login", "list"])
def test_every_command_reports_an_unconfirmed_email(unconfirmed, command):
    first, *others = unconfirmed.fails(5, command).splitlines()

    assert first.startswith("vaultr: The signup from this device does not seem to be confirmed yet")
    assert "vaultr verify TOKEN" in first
    assert "vaultr resend" in first
    assert not any(line.startswith("vaultr: Unless the owner did this") for line in others)


@pytest.fixture(scope="module")
def unconfirmed(site, tmp_path_factory):
    home = tmp_path_factory.mktemp("unconfirmed") / "home"
    device = Device(home, site.url, email="unconfirmed@example.org")
    device.done("signup", "--email", device.email)
    return device


def test_login_with_password_unlocks_until_lock(account, site, tmp_path):
    device = Device(tmp_path / "home", site.url, email=account.email)
    device.done("login", "--email", account.email, secret_key=account.made["secret_key"])
    person = device.with_agent()
    terminal = at_terminal(person, "login")
    terminal.answers("Master password: ", account.password)
    assert terminal.ends() == 0
    assert "It is also unlocked" in terminal.shown
    try:
        person.done("list", password=None)
    finally:
        person.done("lock", password=None)
    person.fails(3, "list", password=None)


def test_login_in_a_script_starts_no_agent(account, site, tmp_path):
    person = Device(tmp_path / "home", site.url, email=account.email).with_agent()

    result = person.done("login", "--email", account.email, secret_key=account.made["secret_key"])

    assert "Next: vaultr unlock" in result
    person.fails(3, "list", password=None)


def test_login_without_agent_stores_no_keys(account):
    terminal = at_terminal(account, "login")

    terminal.answers("Master password: ", account.password)

    assert terminal.ends() == 0
    assert "unlock" not in terminal.shown
    account.fails(3, "list", password=None)
