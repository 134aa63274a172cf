"""Codes of authenticator apps match the RFCs, and depend only on secret and time."""

import base64

import pytest

from vaultr.client.items.otp import Totp
from vaultr.protocol import totp

# RFC 6238, appendix B: the seeds are the digits repeated to the length of the hash.
SEEDS = {"sha1": 20, "sha256": 32, "sha512": 64}
CODES = {
    59: ("94287082", "46119246", "90693936"),
    1111111109: ("07081804", "68084774", "25091201"),
    1111111111: ("14050471", "67062674", "99943326"),
    1234567890: ("89005924", "91819424", "93441116"),
    2000000000: ("69279037", "90698825", "38618901"),
    20000000000: ("65353130", "77737706", "47863826"),
}
# RFC 4226, appendix D: counters 0 to 9 with six digits.
HOTP = [755224, 287082, 359152, 969429, 338314, 254676, 287922, 162583, 399871, 520489]


def seed(length):
    return (b"1234567890" * 7)[:length]


@pytest.mark.parametrize("moment", CODES)
def test_codes_match_rfc_6238(moment):
    found = tuple(
        totp.code(seed(length), totp.step_of(moment), digits=8, hash_name=name)
        for name, length in SEEDS.items()
    )

    assert found == CODES[moment]


@pytest.mark.parametrize(("counter", "number"), [*enumerate(HOTP)])
def test_codes_match_rfc_4226(counter, number):
    assert totp.code(seed(20), counter) == str(number)


@pytest.mark.parametrize("apart", [-1, 0, 1])
def test_code_is_valid_one_step_before_and_after(apart):
    secret, moment = totp.new_secret(), 1_700_000_010.0
    step = totp.step_of(moment) + apart

    assert totp.matching_step(secret, totp.code(secret, step), moment) == step


@pytest.mark.parametrize("apart", [-1000, -3, -2, 2, 3, 1000])
def test_code_is_invalid_two_or_more_steps_away(apart):
    secret, moment = seed(20), 1_700_000_010.0

    provided = totp.code(secret, totp.step_of(moment) + apart)

    assert totp.matching_step(secret, provided, moment) is None


@pytest.mark.parametrize(
    "value", ["", "0", "1234567", "\u00b2" * 6, "\uff11" * 6, "-12345", "abcdef"]
)
def test_invalid_code_matches_no_step(value):
    assert totp.matching_step(seed(20), value, 59.0) is None


def test_new_secrets_are_distinct_and_20_bytes_long():
    secrets = {totp.new_secret() for _ in range(50)}

    assert len(secrets) == 50
    assert {len(secret) for secret in secrets} == {20}


def test_app_computes_same_codes_from_uri():
    secret, account = totp.new_secret(), "ann+1@example.org"

    uri = totp.uri(secret, account, "Vaultr (vault.example)")

    app = Totp.parse(uri)
    assert all(
        app.at(moment) == totp.code(secret, totp.step_of(moment)) for moment in (0, 59, 1.7e9)
    )
    assert uri.startswith("otpauth://totp/Vaultr%20%28vault.example%29:ann%2B1%40example.org?")
    assert base64.b32decode(totp.as_text(secret)) == secret
