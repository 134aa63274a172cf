import time

import pytest

from vaultr.auth.email_addresses import deliverable, normalise


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" Ann@Example.TEST ", "ann@example.test"),
        ("\uff41\uff4e\uff4e\uff20example.org", "ann@example.org"),
        ("o'brien+tag@example.org", "o'brien+tag@example.org"),
        ("a.n.n@example.org", "a.n.n@example.org"),
        ("ÉMILE@exämple.org", "émile@exämple.org"),
        ("a@localhost", "a@localhost"),
        ("a" * 308 + "@example.org", "a" * 308 + "@example.org"),
    ],
)
def test_email_address_is_trimmed_normalised_and_lowercased(value, expected):
    assert normalise(value) == expected
    assert normalise(expected) == expected


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "ann", "@", "ann@", "@example.org", "a@b@c", "a n@b", "a@b c", "a\u00a0n@b",
        "a\x00@b", "a\n@b", "a\x85@b", '"a"@b', "a,b@c", "a;b@c", "<a@b>", "a(b)@c", "a\\b@c",
        "a@[127.0.0.1]", "a" * 309 + "@example.org",
    ],
)  # fmt: skip
def test_invalid_email_address_is_rejected(value):
    with pytest.raises(ValueError, match="an email address"):
        normalise(value)


@pytest.mark.parametrize(
    "marks", ["\u0316\u0300" * 250_000, "\u0300" * 250_000 + "\u0316" * 250_000]
)
def test_overlong_text_is_rejected_before_normalisation(time_limit, marks):
    began = time.process_time()

    with pytest.raises(ValueError, match="an email address"):
        normalise(f"a{marks}@example.org")

    assert time.process_time() - began < time_limit(1)


def test_long_decomposed_email_address_is_composed():
    assert (
        normalise(" " * 5000 + "\u1112\u1161\u11ab" * 308 + "@example.org")
        == "한" * 308 + "@example.org"
    )


@pytest.mark.parametrize(
    "address",
    ["ann+tag@example.org", "a@b\u00fccher.example", "a@xn--bcher-kva.example", "a@localhost"],
)
def test_address_that_a_mail_server_accepts_is_deliverable(address):
    assert deliverable(f" {address.upper()} ") == address


@pytest.mark.parametrize(
    "address",
    [
        "a@exa\u00admple.org", "a@exa\u200bmple.org", "a@exam\u200dple.org",
        "a@stra\u00dfe.example",
        "a@example.org.", "a@example..org", "a@.example.org", "a@ex\u3002ample.org",
        "a@" + "b" * 64 + ".org", ".a@example.org", "a.@example.org", "a..b@example.org",
        "\u00e9mile@example.org", "a" * 65 + "@example.org",
    ],
)  # fmt: skip
def test_address_that_no_mail_server_accepts_is_rejected(address):
    with pytest.raises(ValueError, match="the part"):
        deliverable(address)
