"""A TOTP secret is checked before it is stored, while the site still shows its QR code."""

import json

import pytest

from tests.harness.client.terminal import at_terminal

ODD = "not-base32-at-all-8!"


def login(title, **detail):
    return json.dumps({"overview": {"title": title}, "detail": detail})


@pytest.fixture
def odd(device, tmp_path):
    """A login with an odd secret, as imported from another manager."""
    export = {"encrypted": False, "folders": [], "items": [entry("Odd import", ODD)]}
    file = tmp_path / "export.json"
    file.write_text(json.dumps(export))
    result = device.types("import", str(file))
    assert result.returncode == 0, result.stderr
    yield result
    device.done("rm", "Odd import", "--forever", "--yes")


def entry(name, totp):
    return {
        "id": "5f0a4c36-9b67-4ce1-8f0c-a2c300f0f7a1",
        "type": 1,
        "name": name,
        "login": {"username": "ann", "password": "x", "totp": totp},
    }


def test_invalid_totp_secret_in_json_is_rejected(device):
    message = device.fails(1, "add", "login", "--json", stdin=login("No codes", totp=ODD))

    assert "detail.totp: The secret for one-time codes is not base32" in message
    assert "Nothing was saved." in message
    assert ODD not in message
    assert device.run_json("list", "No codes") == []


def test_edit_rejects_invalid_totp_secret(device):
    item = device.run_json("add", "login", stdin=login("Codes", totp="JBSWY3DPEHPK3PXP"))

    for words, stdin in (
        (("--secret", "totp"), ODD),
        (("--json",), json.dumps({"detail": {"totp": "otpauth://hotp/x?secret=JBSWY3DP"}})),
    ):
        assert "detail.totp" in device.fails(1, "edit", item["id"], *words, stdin=stdin)
    device.done("edit", item["id"], "--secret", "totp", stdin="gezd gnbv gy3t qojq\n")

    assert device.done("show", "Codes", "--field", "totp") == "gezd gnbv gy3t qojq\n"
    assert len(device.run_json("code", "Codes")["code"]) == 6
    device.done("rm", item["id"], "--forever", "--yes")


def test_import_stores_invalid_totp_secret_and_reports_its_title(device, odd):
    assert "Odd import: the TOTP secret produces no codes" in odd.stderr
    assert ODD not in odd.stdout + odd.stderr
    assert device.done("show", "Odd import", "--field", "totp") == f"{ODD}\n"


def test_item_with_invalid_totp_secret_can_be_edited(device, odd):
    shown = device.run_json("show", "Odd import", "--reveal")
    shown["detail"]["password"] = "new"

    device.done("edit", shown["id"], "--json", stdin=json.dumps(shown))

    assert device.done("show", "Odd import", "--field", "password") == "new\n"
    assert device.done("show", "Odd import", "--field", "totp") == f"{ODD}\n"


def test_mistyped_totp_secret_is_prompted_again(account):
    terminal = at_terminal(account, "add", "login", "--title", "Typed", "--username", "ann")

    terminal.answers("Master password: ", account.password)
    terminal.answers("Password (empty for none): ", "x")
    terminal.answers("TOTP secret (empty for none): ", ODD)
    terminal.answers("TOTP secret (empty for none): ", "JBSWY3DPEHPK3PXP")

    assert terminal.ends() == 0
    assert "is not base32" in terminal.shown
    assert ODD not in terminal.shown
    assert len(account.run_json("code", "Typed")["code"]) == 6
    account.done("rm", "Typed", "--forever", "--yes")
