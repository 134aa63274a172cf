"""In production, keys must be present, long, distinct and random."""

import base64

import pytest

from tests.harness.production_settings import KEYS, PRODUCTION
from vaultr.settings.environment import InvalidSettings
from vaultr.settings.loader import generate_keys
from vaultr.settings.model import Settings
from vaultr.settings.types import KEY_SETS


def named(**changed):
    """Return the rejected settings; no message contains a value."""
    with pytest.raises(InvalidSettings) as rejection:
        Settings.from_environ(PRODUCTION | changed)
    assert not any(value and value in str(rejection.value) for value in changed.values())
    return [problem.partition(":")[0] for problem in rejection.value.problems]


def key(data):
    return "k9:" + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_generated_key_set_is_accepted():
    assert Settings.from_environ(PRODUCTION).production


@pytest.mark.parametrize("name", KEY_SETS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "short",
        "x" * 32,
        "ab" * 20,
        "0123456789abcdef" * 2,
        "abcdefghijklmnopqrstuvwxyz012345",
        "change-me-change-this-change-it-all-of-it",
        "this-is-the-default-of-some-manual-9",
        "MyVerySecretKeyThatIsLongEnough-4711",
        key(bytes(32)),
        key(bytes(range(32))),
        key(bytes(range(64, 0, -2))),
        key(bytes(31)),
        key(b"0123456789abcdef" * 2),
        "k1:not base64url",
    ],
)
def test_low_entropy_key_is_rejected_by_name(name, value):
    assert named(**{name: value}) == [name]


@pytest.mark.parametrize("name", KEY_SETS)
def test_one_key_for_two_purposes_is_rejected(name):
    other = next(one for one in KEY_SETS if one != name)

    assert len(named(**{name: KEYS[other]})) == 1


def test_key_listed_as_old_in_another_set_is_rejected():
    old = generate_keys("old")["MAIL_KEY"]

    assert named(PEPPER=old, MAIL_KEY=f"{KEYS['MAIL_KEY']},{old}") == ["MAIL_KEY"]


@pytest.mark.parametrize("name", KEY_SETS)
def test_development_key_is_rejected_in_production(name):
    assert named(**{name: generate_keys("dev")[name]}) == [name]


def test_all_errors_are_reported_together():
    assert named(**dict.fromkeys(KEY_SETS, "")) == sorted(KEY_SETS)
