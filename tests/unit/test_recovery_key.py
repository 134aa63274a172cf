"""The recovery key in its printed form, and the keys derived from it."""

import base64
import hashlib
import hmac
import random
import uuid

import pytest

from vaultr.client.crypto.recovery_key import NotARecoveryKey, RecoveryKey
from vaultr.client.errors import SealBroken
from vaultr.protocol.encoding import lp

ACCOUNT = uuid.UUID(bytes=bytes(range(16)))
KEY = RecoveryKey(bytes(range(32)))


def derived(purpose):
    """Derive by RFC 5869 using only HMAC."""
    info = lp("vaultr/v1/recovery", purpose, ACCOUNT)
    extracted = hmac.digest(bytes(32), KEY.key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_recovery_key_is_grouped_base32_with_checksum():
    groups = KEY.text.split("-")

    assert [len(group) for group in groups] == [4] * 14
    data = base64.b32decode("".join(groups))
    assert data[:32] == KEY.key
    assert data[32:] == hashlib.sha256(b"vaultr/v1/recovery-key" + KEY.key).digest()[:3]


@pytest.mark.parametrize(
    "typed",
    [
        KEY.text,
        KEY.text.lower(),
        KEY.text.replace("-", ""),
        f"  {KEY.text.replace('-', ' ')}\n",
        KEY.text.replace("O", "0").replace("I", "1").replace("B", "8"),
    ],
)
def test_recovery_key_ignores_case_separators_and_common_misreadings(typed):
    assert RecoveryKey.read(typed) == KEY


def test_misread_digit_is_detected():
    chance = random.Random(3)
    digits = KEY.text.replace("-", "")
    for place, digit in enumerate(digits):
        other = chance.choice(
            [each for each in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" if each != digit]
        )
        with pytest.raises(NotARecoveryKey, match="checksum"):
            RecoveryKey.read(digits[:place] + other + digits[place + 1 :])


@pytest.mark.parametrize("typed", ["", "x", KEY.text[:-1], KEY.text + "A", "9" * 56, "Ä" * 56])
def test_invalid_recovery_key_is_rejected_without_echo(typed):
    with pytest.raises(NotARecoveryKey) as rejected:
        RecoveryKey.read(typed)

    assert len(typed) < 2 or typed not in str(rejected.value)


def test_proof_and_sealing_key_are_derived_separately_per_account():
    assert KEY.auth(ACCOUNT) == derived("auth")
    assert KEY.verifier(ACCOUNT) == hashlib.sha256(derived("auth")).digest()
    assert KEY.auth(uuid.UUID(int=1)) != KEY.auth(ACCOUNT)
    assert "key" not in repr(KEY).lower().replace("recoverykey", "")


def test_recovery_key_opens_only_its_account_and_epoch():
    sealed = KEY.seal(ACCOUNT, 3, b"a" * 32)

    assert KEY.open(ACCOUNT, 3, sealed) == b"a" * 32
    for account, epoch, key in (
        (uuid.UUID(int=1), 3, KEY),
        (ACCOUNT, 4, KEY),
        (ACCOUNT, 3, RecoveryKey.new()),
    ):
        with pytest.raises(SealBroken):
            key.open(account, epoch, sealed)
