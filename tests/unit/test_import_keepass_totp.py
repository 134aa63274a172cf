"""TOTP secrets of KeePass and its plug-ins are imported and compute the same codes."""

import base64

import pytest

from vaultr.client.imports.keepass_totp import seed_of
from vaultr.client.items.otp import Totp

KEY = b"12345678901234567890"  # RFC 6238, appendix B
TEXT = base64.b32encode(KEY).decode()
KEEPASS = {"TimeOtp-Length": "8", "TimeOtp-Algorithm": "HMAC-SHA-1"}


@pytest.mark.parametrize(
    "values",
    [
        {"TOTP Seed": TEXT, "TOTP Settings": "30;8"},
        {"TOTP Seed": TEXT.lower(), "TOTP Settings": "30;8;https://time.example"},
        {"otp": f"key={TEXT}&step=30&size=8"},
        {"otp": f"otpauth://totp/x?secret={TEXT}&digits=8"},
        {"TimeOtp-Secret-Base32": TEXT, **KEEPASS},
        {"TimeOtp-Secret": KEY.decode(), "TimeOtp-Period": "30", **KEEPASS},
        {"TimeOtp-Secret-Hex": KEY.hex(), **KEEPASS},
        {"TimeOtp-Secret-Base64": base64.b64encode(KEY).decode(), **KEEPASS},
    ],
)
def test_totp_settings_produce_keepass_codes(values):
    seed = seed_of(values)

    assert Totp.parse(seed.value).at(59) == "94287082"
    assert seed.fields == values.keys()


@pytest.mark.parametrize("settings", ["", "thirty;6"])
def test_totp_seed_with_invalid_settings_stays_unchanged(settings):
    seed = seed_of({"TOTP Seed": TEXT, "TOTP Settings": settings})

    assert (seed.value, seed.fields) == (TEXT, {"TOTP Seed"})


def test_steam_seed_produces_steam_codes():
    seed = seed_of({"TOTP Seed": TEXT, "TOTP Settings": "30;S"})

    assert seed.value == f"steam://{TEXT}"
    assert len(Totp.parse(seed.value).at(59)) == 5


def test_totp_algorithm_of_keepass_is_applied():
    seed = seed_of({"TimeOtp-Secret-Base32": TEXT, "TimeOtp-Algorithm": "HMAC-SHA-512"})

    assert Totp.parse(seed.value).hash_name == "sha512"


@pytest.mark.parametrize("values", [{}, {"otp": ""}, {"TimeOtp-Secret-Hex": "no hex"}])
def test_entry_without_readable_seed_has_no_totp(values):
    assert seed_of(values) is None
