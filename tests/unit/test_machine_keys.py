"""Machine tokens, their derived keys, and wraps that only one machine can open."""

import hashlib
import hmac
from uuid import UUID

import pytest

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.crypto.machine_keys import (
    MachineKeys,
    MachineToken,
    holds_token,
    unwrap_for_machine,
    wrap_for_machine,
)
from vaultr.client.crypto.seal import seal
from vaultr.client.errors import SealBroken, UsageError
from vaultr.protocol.encoding import b64, lp

MACHINE, VAULT, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
TOKEN = MachineToken(MACHINE, bytes(range(32)))
WRAPPED = MachineKeys(VaultKeys(vk=b"\1" * 32, lk=b"\2" * 32), 7, b"\3" * 32)


def hkdf(secret, info):
    """RFC 5869 for one block, written out."""
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\1", hashlib.sha256)


def test_derived_keys_follow_the_protocol():
    auth, kek = (f"vaultr/v1/machine-{each}" for each in ("auth", "kek"))

    assert TOKEN.auth_key == hkdf(TOKEN.secret, lp(auth, MACHINE))
    assert TOKEN.kek == hkdf(TOKEN.secret, lp(kek, MACHINE))
    assert TOKEN.bearer == f"vma_{MACHINE}_{b64(TOKEN.auth_key)}"
    assert TOKEN.text == f"vmt_{MACHINE}_{b64(TOKEN.secret)}"
    assert b64(TOKEN.secret) not in TOKEN.bearer


def test_token_text_parses_and_repr_hides_secret():
    again = MachineToken.parse(f" {TOKEN.text}\n")

    assert again == TOKEN
    assert b64(TOKEN.secret) not in repr(again)
    assert holds_token(f"--token={TOKEN.text}")
    assert holds_token(TOKEN.text[:-5])
    assert not holds_token("vmt_a-title")


@pytest.mark.parametrize(
    "text",
    ["", "vmt_", TOKEN.text[:-1], TOKEN.text + "A", TOKEN.text.upper(), TOKEN.bearer,
     TOKEN.text[:-1] + "B", f"vmt_{MACHINE.hex}_{b64(TOKEN.secret)}", "vgt_" + TOKEN.text[4:]],
)  # fmt: skip
def test_malformed_token_is_rejected_without_repeating_it(text):
    with pytest.raises(UsageError) as rejected:
        MachineToken.parse(text)

    assert len(text) < 5 or text not in str(rejected.value)


def test_wrap_opens_only_for_its_machine_vault_and_generation():
    sealed = wrap_for_machine(TOKEN.kek, MACHINE, VAULT, 4, WRAPPED)

    assert unwrap_for_machine(TOKEN.kek, MACHINE, VAULT, 4, sealed) == WRAPPED
    other = MachineToken.new(MACHINE).kek
    for kek, machine, vault, generation in (
        (other, MACHINE, VAULT, 4),
        (TOKEN.kek, OTHER, VAULT, 4),
        (TOKEN.kek, MACHINE, OTHER, 4),
        (TOKEN.kek, MACHINE, VAULT, 5),
    ):
        with pytest.raises(SealBroken):
            unwrap_for_machine(kek, machine, vault, generation, sealed)


def test_wrap_of_another_size_is_rejected():
    short = seal(TOKEN.kek, aad.machine_vault(MACHINE, VAULT, 1), bytes(64))

    with pytest.raises(SealBroken):
        unwrap_for_machine(TOKEN.kek, MACHINE, VAULT, 1, short)


def test_new_tokens_differ():
    assert MachineToken.new() != MachineToken.new()
    assert MachineToken.new(MACHINE).machine_id == MACHINE
