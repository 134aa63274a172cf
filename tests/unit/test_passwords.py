import pytest

from vaultr.client.account.password_policy import WeakPassword, check_password, password_strength


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "fünfzehn Zeiche",
        "k7#Jq2!vR9zLw4&",
        "on my big red ox",
        "六つの 違う 言葉 並べた 合言葉",
        "x" * 3 + " a long phrase of my own, ending in 1987",
    ],
)
def test_long_password_or_five_words_is_accepted(password):
    check_password(password, "ann@example.org")


@pytest.mark.parametrize("password", ["", "short", "k7#Jq2!vR9zLw4", "one two three", "a b c d e"])
def test_short_password_is_rejected(password):
    with pytest.raises(WeakPassword, match="at least 15 characters"):
        check_password(password, "ann@example.org")


def test_repeated_word_counts_once():
    with pytest.raises(WeakPassword):
        check_password("ab ab ab ab ab", "ann@example.org")


def test_length_is_counted_after_normalisation():
    decomposed = "e\u0301" * 14  # fourteen emails as the owner sees them

    with pytest.raises(WeakPassword, match="15 characters"):
        check_password(decomposed, "ann@example.org")


@pytest.mark.parametrize(
    "address", ["ann@example.org", " ANN@Example.ORG ", "\uff41nn@example.org"]
)
def test_password_containing_the_email_address_is_rejected(address):
    with pytest.raises(WeakPassword, match="email address"):
        check_password("my own Ann@Example.org 73", address)


@pytest.mark.parametrize(
    "password",
    [
        "1qaz2wsx3edc4rfv",
        "QWERTY123456789",
        "q1w2e3r4t5y6u7i8",
        "passwordpassword",
        "password password",
        "Password1234567890!",
        "111111111111111111",
        "abcabcabcabcabcabc",
        "123456789012345678",
        "abcdefghijklmnopqr",
        "               ",
        "baseballfootball",
        "123456slipknot7890123",
        "123456abcd12347890123",
        "cruiser!!!!!!!!!!!!",
        "aabbccddeeffgghh",
        "cbddbacacdadcdad",
    ],
)
def test_variations_of_common_passwords_are_rejected(password):
    with pytest.raises(WeakPassword, match="too easy to guess"):
        check_password(password, "ann@example.org")


@pytest.mark.parametrize("password", ["qzjvkwtlmrxp8472", "tlmrxpqzjvkw8472"])
def test_parts_of_the_email_address_make_a_password_weaker(password):
    with_address = password_strength(password, "qzjvkw.tlmrxp@example.org")

    assert with_address.score < password_strength(password).score


@pytest.mark.parametrize("password", ["qwertyuiopasdfgh", "thunderstruck12345", "aaaaaaaaaaaaaaaa"])
def test_weak_password_has_a_suggestion(password):
    assert password_strength(password).suggestion


def test_strong_password_has_no_reason_and_no_suggestion():
    strength = password_strength("amber-lantern-quilt-7-harbour", "ann@example.org")

    assert (strength.score, strength.reason, strength.suggestion) == (4, "", "")


@pytest.mark.parametrize("password", ["a" * 10_000, "amber lantern quilt " * 1000])
def test_very_long_password_is_measured_by_its_beginning(password):
    assert password_strength(password).score in range(5)


def test_error_does_not_repeat_the_password():
    with pytest.raises(WeakPassword) as error:
        check_password("passwordpassword", "ann@example.org")

    assert "passwordpassword" not in str(error.value)
