"""Passwords that pass the quick check are strong by zxcvbn; most random passwords pass."""

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultr.client.account.password_policy import password_strength
from vaultr.client.account.strong_passwords import is_surely_strong

WORDS = ["password", "Dragon", "p4ssw0rd", "drowssap", "qwertyuiop", "1234567890", "20111984",
         "abcabcabc", "zyxwvut", "elizabeth", "Sunsh1ne", "vaultr", "!QAZ2wsx"]  # fmt: skip
ANYTHING = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=9)
PARTS = st.lists(st.one_of(st.sampled_from(WORDS), ANYTHING), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PARTS)
def test_surely_strong_password_has_a_score_of_three(parts):
    password = "".join(parts)

    assert not is_surely_strong(password) or password_strength(password).score >= 3


@pytest.mark.long
@settings(max_examples=5_000, deadline=None)
@given(PARTS)
def test_any_surely_strong_password_has_a_score_of_three(parts):
    password = "".join(parts)

    assert not is_surely_strong(password) or password_strength(password).score >= 3


@pytest.mark.parametrize("word", WORDS)
def test_common_password_with_extra_characters_is_not_surely_strong(word):
    assert not is_surely_strong(word + "xK9")
    assert not is_surely_strong("123456!!" + word + "!!123456")


def test_random_passwords_need_no_measurement():
    found = [is_surely_strong(secrets.token_urlsafe(15)) for _ in range(1_000)]

    assert sum(found) > 980
