import pytest

from vaultr.client.account.password_policy import WeakPassword, check_password, is_common


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
def test_a_long_password_or_five_words_are_taken(password):
    check_password(password, "ann@example.org")


@pytest.mark.parametrize("password", ["", "short", "k7#Jq2!vR9zLw4", "one two three", "a b c d e"])
def test_a_short_password_is_refused(password):
    with pytest.raises(WeakPassword, match="at least 15 characters"):
        check_password(password, "ann@example.org")


def test_the_same_word_five_times_is_not_five_words():
    with pytest.raises(WeakPassword):
        check_password("ab ab ab ab ab", "ann@example.org")


def test_length_is_counted_after_normalisation():
    decomposed = "e\u0301" * 14  # fourteen letters as the owner sees them

    with pytest.raises(WeakPassword, match="15 characters"):
        check_password(decomposed, "ann@example.org")


@pytest.mark.parametrize(
    "address", ["ann@example.org", " ANN@Example.ORG ", "\uff41nn@example.org"]
)
def test_a_password_with_the_mail_address_in_it_is_refused(address):
    with pytest.raises(WeakPassword, match="mail address"):
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
    ],
)
def test_a_common_password_is_refused_in_the_forms_people_give_it(password):
    assert is_common(password)
    with pytest.raises(WeakPassword, match="common"):
        check_password(password, "ann@example.org")


def test_a_refusal_never_repeats_the_password():
    with pytest.raises(WeakPassword) as refused:
        check_password("passwordpassword", "ann@example.org")

    assert "passwordpassword" not in str(refused.value)
