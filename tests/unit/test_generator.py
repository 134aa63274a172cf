import itertools
import math
from collections import Counter

import pytest

from vaultr.client.errors import UsageError
from vaultr.client.items import generator
from vaultr.client.items.generator import PasswordRule, PhraseRule, passphrase, password


def test_password_has_its_length_and_every_character_kind():
    for _ in range(200):
        drawn = password(PasswordRule(length=8))
        assert len(drawn) == 8
        assert any(each.islower() for each in drawn)
        assert any(each.isupper() for each in drawn)
        assert any(each.isdecimal() for each in drawn)
        assert any(each in generator.SYMBOLS for each in drawn)


def test_excluded_character_kinds_do_not_occur():
    drawn = password(PasswordRule(length=400, upper=False, symbols="", unlike=True))

    assert set(drawn) <= set("abcdefghijklmnopqrstuvwxyz0123456789") - set("0l1258")
    assert len(set(drawn)) > 20


def test_fitting_passwords_are_equally_likely(monkeypatch):
    """The rule is so small that all passwords can be listed; each occurs equally often."""
    monkeypatch.setattr(generator.string, "ascii_lowercase", "ab")
    rule = PasswordRule(length=4, upper=False, digits=False, symbols="!")
    fitting = {"".join(each) for each in itertools.product("ab!", repeat=4)}
    fitting = {each for each in fitting if "!" in each and set(each) & set("ab")}

    drawn = Counter(password(rule) for _ in range(200 * len(fitting)))

    assert set(drawn) == fitting
    assert math.isclose(generator.password_bits(rule), math.log2(len(fitting)))
    # Chi-squared with 63 degrees of freedom; it exceeds 130 once in a million runs.
    expected = 200
    assert len(fitting) == 64
    assert sum((n - expected) ** 2 / expected for n in drawn.values()) < 130


def test_password_strength_is_shown_in_bits():
    pin = PasswordRule(length=6, lower=False, upper=False, symbols="")

    assert math.isclose(generator.password_bits(pin), 6 * math.log2(10))
    assert 125 < generator.password_bits(PasswordRule()) < 128


@pytest.mark.parametrize(
    "rule",
    [
        PasswordRule(length=3),
        PasswordRule(length=1025),
        PasswordRule(length=-1),
        PasswordRule(lower=False, upper=False, digits=False, symbols=""),
        PasswordRule(symbols=" "),
        PasswordRule(symbols="a"),
        PasswordRule(symbols="\x1b"),
        PasswordRule(lower=False, upper=False, digits=False, symbols="5"),
    ],
)
def test_impossible_password_rule_is_rejected(rule):
    with pytest.raises(UsageError):
        password(rule)


def test_passphrase_consists_of_listed_words():
    drawn = passphrase(PhraseRule(words=7)).split("-")

    assert len(drawn) == 7
    assert set(drawn) <= set(generator.word_list())


def test_word_list_has_distinct_lowercase_words():
    words = generator.word_list()

    assert len(words) == len(set(words)) == 7772
    assert all(word.isascii() and word.isalpha() and word.islower() for word in words)
    assert all(3 <= len(word) <= 9 for word in words)


def test_passphrase_supports_capitals_number_and_separator():
    drawn = passphrase(PhraseRule(words=4, separator=".", capitals=True, number=True))

    parts = drawn.split(".")
    assert [part[0].isupper() for part in parts] == [True] * 4
    assert sum(part[-1].isdecimal() for part in parts) == 1


def test_passphrase_strength_is_shown_in_bits():
    assert math.isclose(generator.phrase_bits(PhraseRule()), 6 * math.log2(7772))
    numbered = PhraseRule(words=4, number=True)
    assert math.isclose(generator.phrase_bits(numbered), 4 * math.log2(7772) + math.log2(40))


@pytest.mark.parametrize(
    "rule",
    [
        PhraseRule(words=2),
        PhraseRule(words=33),
        PhraseRule(separator="x"),
        PhraseRule(separator="1"),
        PhraseRule(separator="\n"),
        PhraseRule(separator=""),
        PhraseRule(separator="-" * 9),
    ],
)
def test_weak_passphrase_rule_is_rejected(rule):
    with pytest.raises(UsageError):
        passphrase(rule)


def test_empty_separator_is_allowed_with_capitals():
    assert passphrase(PhraseRule(words=3, separator="", capitals=True)).isalpha()
