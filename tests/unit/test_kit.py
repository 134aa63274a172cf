"""The emergency kit: its text, its page, and rejected inputs."""

import html
import random
import re
import uuid
from dataclasses import replace

import pytest

from vaultr.client.account import qr
from vaultr.client.account.emergency_kit import Kit, NotAKit, looks_like_kit, read_kit
from vaultr.client.account.emergency_kit_page import page
from vaultr.client.crypto.primitives import sha256
from vaultr.client.storage.pins import Pins
from vaultr.protocol.kdf import Kdf

PINS = Pins(
    account_id=uuid.UUID(bytes=bytes(range(16))),
    origin="https://vault.example:8443",
    kdf=Kdf("argon2id", 131_072, 4, 2),
    salt_sha256=bytes(range(32)),
    secret_key=True,
)
KIT = Kit(PINS, b"k" * 32)
WITHOUT = Kit(replace(PINS, secret_key=False), None)


def checked(args):
    """Return the text of a kit with the right checksum."""
    return f"{args}check={sha256(args.encode()).hex()[:8]}"


@pytest.mark.parametrize("kit", [KIT, WITHOUT])
def test_kit_text_parses_to_same_kit(kit):
    assert read_kit(kit.text) == kit
    assert kit.text.isascii()
    assert not re.search(r"\s", kit.text)


def test_read_kit_ignores_lines_and_spaces():
    assert read_kit("\n".join(KIT.parts())) == KIT
    assert read_kit(" ".join(KIT.text)) == KIT


def test_misread_character_is_rejected_without_echo():
    chance = random.Random(4)
    for place, email_message in enumerate(KIT.text):
        other = chance.choice([each for each in "abcXYZ059-_.;=," if each != email_message])
        with pytest.raises(NotAKit) as rejected:
            read_kit(KIT.text[:place] + other + KIT.text[place + 1 :])
        assert "kkkk" not in str(rejected.value)


@pytest.mark.parametrize(
    ("held", "other"),
    [
        ("https://vault.example:8443", "http://vault.example"),
        ("https://vault.example:8443", "https://vault.example/path"),
        ("131072", "1024"),
        ("131072", "99999999"),
        ("vaultr-kit:1", "vaultr-kit:2"),
        (",4,2;", ",4,0;"),
    ],
)
def test_impossible_key_is_rejected_despite_valid_checksum(held, other):
    text = KIT.text.rpartition("check=")[0].replace(held, other)

    with pytest.raises(NotAKit):
        read_kit(checked(text))


@pytest.mark.parametrize("text", ["vaultr-kit:1;origin=x", "VAULTR", "x" * 43, ""])
def test_secret_key_is_distinguished_from_kit(text):
    assert looks_like_kit(text) == text.startswith("vaultr-kit")


@pytest.mark.parametrize("kit", [KIT, WITHOUT])
def test_kit_page_has_text_and_qr_code_without_links(kit):
    shown = page(kit, "<ann>@example.org")

    text = html.unescape(re.search(r"<pre>\n(.*?)\n</pre>", shown, re.DOTALL)[1])
    assert read_kit(text) == kit
    assert qr.svg(kit.text) in shown
    assert "&lt;ann&gt;" in shown
    assert not re.search(r"<script|<img|<link|src=|href=|url\(", shown)
    assert "default-src 'none'" in shown


def test_terminal_qr_code_draws_two_rows_per_line():
    lines = qr.lines(KIT.text)

    assert len({len(line) for line in lines}) == 1
    width = len(lines[0])
    assert 2 * len(lines) - width in (0, 1)
    assert set("".join(lines)) <= set(" \u2580\u2584\u2588")
    assert lines[1][2:9] == "\u2588\u2580\u2580\u2580\u2580\u2580\u2588", "the upper left corner"


def test_repr_of_kit_omits_the_secret_key():
    assert "kkkk" not in repr(KIT)
