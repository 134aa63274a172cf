"""Commands about sessions, second factors, email address and account deletion."""

import json
import time
from uuid import UUID

from tests.harness.client.devices import Device
from tests.harness.client.mailbox import link, mailed
from tests.harness.client.owners import owner, second
from tests.harness.client.terminal import Terminal
from vaultr.client.items.otp import Totp


def code_of(secret, *, steps):
    """Return the app's code some steps from now; the server accepts one step either way, once.

    So a code of the next step is valid before and after the step changes.
    """
    return Totp.parse(secret).at(time.time() + 30 * steps)


def test_sessions_are_listed_and_one_of_them_is_ended(site, tmp_path):
    first = owner(site, tmp_path, "sessions@example.org")
    other = second(site, tmp_path, first)

    listed = first.run_json("sessions", "list")

    assert [each["current"] for each in listed] == [False, True]
    assert {"id", "device", "client", "address", "created_at", "last_used_at"} < set(listed[0])
    assert "(this one)" in first.done("sessions", "list")
    short = listed[0]["id"][:8]
    assert short in first.done("sessions", "list")
    assert first.run_json("sessions", "revoke", short) == {"id": listed[0]["id"], "revoked": True}
    assert "vaultr login" in other.fails(1, "sync")
    assert len(first.run_json("sessions", "list")) == 1
    unknown = str(UUID(int=7))
    message = first.fails(1, "sessions", "revoke", unknown)
    assert (
        f"You have no active session {unknown}. To list your sessions: vaultr sessions list"
        in message
    )
    first.fails(2, "sessions", "revoke", "that-one")


def test_logout_all_ends_every_session(site, tmp_path):
    first = owner(site, tmp_path, "everywhere@example.org")
    other = second(site, tmp_path, first)

    assert first.run_json("logout", "--all") == {"signed_out": True}

    other.fails(1, "sync")
    first.fails(1, "sync")
    first.done("login")
    first.done("sync")


def test_second_factor_is_set_up_required_and_removed(site, tmp_path):
    first = owner(site, tmp_path, "factor@example.org")
    terminal = Terminal("totp", "add", environ={**first.environ, "TERM": "xterm", "COLUMNS": "120"})
    terminal.answers("Master password: ", first.password)
    terminal.waits_for("Code from the app: ")
    secret = terminal.shown.rpartition("Secret: ")[2].split()[0]
    for mistyped in ("12345a", code_of(secret, steps=40)):
        terminal.types(mistyped)
        terminal.waits_for("Code from the app: ")
    terminal.types(code_of(secret, steps=0))
    assert terminal.ends() == 0
    assert terminal.shown.count("Type the code that the app shows now.") == 2
    assert terminal.shown.count("Secret: ") == 1
    assert "\N{FULL BLOCK}" in terminal.shown, "the QR code"
    codes = [line.strip() for line in terminal.shown.splitlines() if line.startswith("  ")]
    codes = [line for line in codes if line.count("-") == 3]
    assert len(codes) == 10

    phone = Device(tmp_path / "phone", site.url, email=first.email)
    arguments = ("login", "--email", first.email)
    key = first.made["secret_key"]
    assert "factor" in phone.fails(1, *arguments, secret_key=key).lower()
    phone.done(*arguments, secret_key=key, also={"--totp-fd": code_of(secret, steps=1)})
    phone.done(*arguments, secret_key=key, also={"--totp-fd": codes[0].upper()})
    phone.fails(1, *arguments, secret_key=key, also={"--totp-fd": codes[0]})
    terminal = Terminal("login", environ={**phone.environ, "TERM": "xterm"})
    terminal.answers("Master password: ", phone.password)
    terminal.answers("TOTP code or recovery code: ", codes[2])
    assert terminal.ends() == 0
    assert codes[2] not in terminal.shown
    left = {each["kind"]: each["left"] for each in first.run_json("totp", "list")}
    assert left == {"totp": None, "recovery-codes": 8}

    renewed = first.run_json("totp", "codes", also={"--totp-fd": codes[1]})["recovery_codes"]
    assert len(renewed) == 10
    assert first.run_json("totp", "remove", also={"--totp-fd": renewed[0]}) == {"removed": True}
    assert first.run_json("totp", "list") == []
    nothing = first.types("totp", "list")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "vaultr totp add" in nothing.stderr
    phone.done(*arguments, secret_key=key)


def test_totp_add_in_script_prints_secret_before_reading_code(site, tmp_path):
    """The secret is printed before the code is read, so that a program can compute the code."""
    first = owner(site, tmp_path, "script@example.org")

    result = first.types("totp", "add", "--json", stdin="123456\n")

    begun = json.loads(result.stdout)
    assert result.returncode == 1, "a random code was accepted"
    assert begun["uri"].startswith("otpauth://totp/")
    assert begun["secret"] in begun["uri"]
    assert first.run_json("totp", "list") == []


def test_email_change_needs_both_addresses_and_can_be_undone(site, tmp_path):
    first = owner(site, tmp_path, "before@example.org")

    assert first.run_json("email", "change", "after@example.org") == {"asked": True}
    page = link("/email/confirm")
    for address in ("before@example.org", "after@example.org"):
        first.done("email", "confirm", mailed(site, address, page)[-1], password=None)
    first.done("login", "--email", "after@example.org")
    first.done("sync")
    undo = mailed(site, "before@example.org", link("/email/undo"))[-1]
    assert first.run_json("email", "undo", undo, password=None) == {"undone": True}

    first.fails(1, "sync")
    first.done("login", "--email", "before@example.org")
    first.done("sync")
    first.fails(1, "email", "undo", undo, password=None)


def test_account_deletion_requires_its_email_as_confirmation(site, tmp_path):
    first = owner(site, tmp_path, "gone@example.org")
    first.done("add", "note", "--json", stdin='{"overview": {"title": "Kept"}}')

    assert "--confirm" in first.fails(2, "account", "delete")
    assert "Nothing" in first.fails(1, "account", "delete", "--confirm", "gone@example.com")
    assert first.run_json("account", "delete", "--confirm", "Gone@example.org") == {"deleted": True}

    first.fails(1, "sync")
    assert "deleted" in first.fails(5, "login")
    assert [item["overview"]["title"] for item in first.run_json("list", "--offline")] == ["Kept"]


def test_resend_replaces_the_signup_email(site, tmp_path):
    device = Device(tmp_path / "home", site.url, email="again@example.org")
    device.done("signup", "--email", device.email)
    page = link("/verify-email")
    void = mailed(site, device.email, page)[-1]

    assert device.run_json("resend", password=None) == {"sent": True}

    tokens = mailed(site, device.email, page, least=2)
    device.fails(1, "verify", void, password=None)
    device.done("verify", next(each for each in tokens if each != void), password=None)
    device.done("login")
    assert "is waiting" in device.fails(2, "resend", password=None)
