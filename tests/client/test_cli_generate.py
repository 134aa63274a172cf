"""The commands `vaultr generate` and `vaultr code`."""

import json
import re
import time

import pytest

from tests.harness.client.terminal import Terminal
from vaultr.client.items.otp import Totp

TOTP = "otpauth://totp/Mail:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&period=60&digits=8"


def test_password_is_generated_without_account_or_server(account):
    drawn = account.done("generate", password=None)

    assert len(drawn) == 21
    assert drawn != account.done("generate", password=None)
    reported = account.run_json("generate", "--length", "12", "--no-symbols", password=None)
    assert re.fullmatch(r"[A-Za-z0-9]{12}", reported["value"])
    assert 70 < reported["bits"] < 72


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (("--pin", "6"), r"[0-9]{6}"),
        (("--words", "4"), r"([a-z]+-){3}[a-z]+"),
        (("--words", "3", "--separator", " ", "--capitals"), r"([A-Z][a-z]+ ){2}[A-Z][a-z]+"),
        (("--words", "3", "--number"), r"(?=.*[0-9])([a-z]+[0-9]?-){2}[a-z]+[0-9]?"),
        (("--length", "8", "--no-upper", "--no-lower", "--symbols", "+-"), r"[0-9+-]{8}"),
        (("--length", "30", "--unlike", "--no-symbols"), r"[^0O1lI5S2Z8B]{30}"),
    ],
)
def test_generated_password_matches_the_options(account, words, form):
    assert re.fullmatch(form, account.done("generate", *words, password=None).rstrip("\n"))


def test_many_passwords_are_generated_without_duplicates(account):
    lines = account.done("generate", "--count", "50", password=None).splitlines()

    assert len(set(lines)) == 50
    assert len(account.run_json("generate", "--count", "3", password=None)) == 3


@pytest.mark.parametrize(
    "words",
    [
        ("--length", "3"),
        ("--length", "2000"),
        ("--words", "2"),
        ("--words", "4", "--length", "9"),
        ("--words", "4", "--no-digits"),
        ("--pin", "6", "--words", "3"),
        ("--pin", "6", "--no-upper"),
        ("--pin", "2"),
        ("--symbols", "abc"),
        ("--symbols", "+", "--no-symbols"),
        ("--no-lower", "--no-upper", "--no-digits", "--no-symbols"),
        ("--count", "0"),
        ("--count", "2", "--copy"),
        ("--separator", "x"),
        ("--separator", ""),
    ],
)
def test_conflicting_or_weak_generator_options_are_rejected(account, words):
    account.fails(2, "generate", *words, password=None)


def test_password_strength_is_shown_to_a_person(account):
    terminal = Terminal("generate", "--words", "6", environ=account.environ)

    assert terminal.ends() == 0
    assert "78 bits" in terminal.shown


@pytest.fixture(scope="module")
def coded(device):
    item = {"overview": {"title": "coded"}, "detail": {"totp": TOTP, "password": "not base32!"}}
    device.done("add", "login", "--json", stdin=json.dumps(item))
    bare = {"overview": {"title": "coded without"}, "detail": {"password": "x"}}
    device.done("add", "login", "--json", stdin=json.dumps(bare))
    return device


def test_code_matches_the_current_time(coded):
    totp, before = Totp.parse(TOTP), time.time()

    reported = coded.run_json("code", "coded")

    near = {totp.at(moment) for moment in (before, time.time())}
    assert reported["code"] in near
    assert reported["period"] == 60
    assert 1 <= reported["seconds_left"] <= 60
    before = time.time()
    read = coded.done("read", "vaultr://Personal/coded/totp?as=code").rstrip("\n")
    assert read in {totp.at(moment) for moment in (before, time.time())}


def test_field_without_totp_secret_is_reported(coded):
    assert "no field totp" in coded.fails(1, "code", "coded without")
    message = coded.fails(1, "code", "coded", "--field", "password")
    assert "base32" in message
    assert "not base32!" not in message


def test_generate_stores_a_new_password_in_login(coded):
    coded.done("add", "login", "--title", "drawn", "--generate", stdin="")
    first = coded.done("show", "drawn", "--field", "password")
    result = coded.done("edit", "drawn", "--generate")
    second = coded.done("show", "drawn", "--field", "password")
    coded.done("add", "login", "--generate", "--json", stdin='{"overview": {"title": "drawn 2"}}')

    assert {len(first), len(second)} == {21}
    assert first != second
    assert second.strip() not in result
    assert len(coded.done("show", "drawn 2", "--field", "password")) == 21
    coded.fails(2, "add", "note", "--title", "x", "--generate", stdin="text")
    coded.fails(2, "edit", "drawn", "--generate", "--json", stdin="{}")


def test_only_missing_fields_are_prompted(account):
    terminal = Terminal("add", "login", "--title", "drawn 3", "--username", "ann", "--generate",
                        environ=account.environ)  # fmt: skip
    terminal.answers("Master password: ", account.password)
    terminal.answers("TOTP secret (empty for none): ", "")

    assert terminal.ends() == 0
    assert "Password (empty" not in terminal.shown
