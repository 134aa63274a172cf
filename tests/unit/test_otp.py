import base64

import pytest

from vaultr.client.items.otp import NoCode, Totp

# RFC 6238, appendix B: the seeds are the digits repeated to the length of the hash.
SEEDS = {
    "SHA1": b"12345678901234567890",
    "SHA256": b"12345678901234567890123456789012",
    "SHA512": b"1234567890123456789012345678901234567890123456789012345678901234",
}
VECTORS = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("vector", VECTORS)
def test_codes_match_rfc_6238(place, vector):
    algorithm, seed = list(SEEDS.items())[place]
    secret = base64.b32encode(seed).decode().rstrip("=")
    address = f"otpauth://totp/A:b?secret={secret}&digits=8&algorithm={algorithm}&issuer=A"

    assert Totp.parse(address).at(vector[0]) == vector[1 + place]


# RFC 4226, appendix D: counters 0 to 9 with six digits.
HOTP = [755224, 287082, 359152, 969429, 338314, 254676, 287922, 162583, 399871, 520489]


@pytest.mark.parametrize(("counter", "code"), list(enumerate(map(str, HOTP))))
def test_codes_match_rfc_4226(counter, code):
    secret = base64.b32encode(SEEDS["SHA1"]).decode()

    assert Totp.parse(secret).at(30 * counter) == code


@pytest.mark.parametrize(
    "text",
    [
        "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
        " GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n",
        "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ",
        "otpauth://totp/Mail?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "OTPAUTH://TOTP/Mail%20x?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq&algorithm=sha-1",
        "otpauth://totp/?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&period=30&digits=6&image=x",
    ],
)
def test_totp_secret_is_read_in_common_forms(text):
    assert Totp.parse(text) == Totp(SEEDS["SHA1"])


def test_totp_validity_follows_period_and_time():
    totp = Totp.parse("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&period=60")

    assert (totp.left(0), totp.left(59.9), totp.left(60), totp.left(61)) == (60, 1, 60, 59)
    assert totp.at(0) == totp.at(59) != totp.at(60)


def test_steam_codes_have_five_of_its_characters():
    totp = Totp.parse("steam://GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")

    # The same truncated number as in RFC 4226, appendix D (1284755224), written in base 26.
    number, code = 1284755224, ""
    for _ in range(5):
        number, place = divmod(number, 26)
        code += "23456789BCDFGHJKMNPQRTVWXY"[place]
    assert totp.at(0) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "hunter 18",
        "1111",
        "GEZD!",
        "otpauth://hotp/x?secret=GEZDGNBV&counter=1",
        "otpauth://totp/x",
        "otpauth://totp/x?secret=",
        "otpauth://totp/x?secret=GEZDGNBV&digits=5",
        "otpauth://totp/x?secret=GEZDGNBV&digits=11",
        "otpauth://totp/x?secret=GEZDGNBV&digits=six",
        "otpauth://totp/x?secret=GEZDGNBV&period=0",
        "otpauth://totp/x?secret=GEZDGNBV&period=-30",
        "otpauth://totp/x?secret=GEZDGNBV&algorithm=MD5",
        "otpauth://totp/x?secret=GEZDGNBV&secret=GEZDGNBW",
        "otpauth://[totp/x?secret=GEZDGNBV",
        "https://totp/x?secret=GEZDGNBV",
        "A" * 4000,
    ],
)
def test_invalid_totp_secret_is_rejected_and_not_printed(text):
    with pytest.raises(NoCode) as rejected:
        Totp.parse(text)

    assert len(text) < 5 or text not in str(rejected.value)
    assert "GEZDGNB" not in str(rejected.value)


def test_repr_of_totp_omits_the_secret():
    assert "12345" not in repr(Totp(SEEDS["SHA1"]))
