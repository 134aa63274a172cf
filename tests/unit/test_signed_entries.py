"""Invalid entries with a valid signature, from a hostile or broken writer."""

from dataclasses import replace

import pytest

from tests.harness.client import sample_vault
from tests.harness.client.sample_device import ACCOUNT, VAULT
from tests.harness.client.sample_vault import IDS, put, rename
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.errors import ChainBroken, StateMismatch
from vaultr.client.log import append
from vaultr.client.log.append import Change
from vaultr.client.log.entries import SignedEntry, vouch
from vaultr.protocol.encoding import b64


@pytest.fixture
def sample():
    return sample_vault.create()


def sign_last(sample, device, **changes):
    """Sign another entry with the vault's own keys, like a writer that breaks the rules."""
    batch = append.prepare(device.state, [Change.repair()], keys=device.keys, author_id=ACCOUNT)
    entry = replace(batch.last.signed.entry, **changes)
    lk = device.keys[entry.generation].lk
    return SignedEntry.make(lk, entry)


def announced(answers, signed):
    page = answers[-1]
    entry = signed.to_json() | {
        "op": str(signed.entry.op),
        "item_id": str(signed.entry.item_id) if signed.entry.item_id else None,
        "content_revision": signed.entry.content_revision,
        "content": b64(signed.entry.content),
        "generation": signed.entry.generation,
        "author_id": str(ACCOUNT),
        "head": b64(signed.head),
    }
    page["entries"].append(entry)
    page["head_entry"] = entry
    page["head"] = page["vault"]["head"] = b64(signed.head)
    page["revision"] = page["through"] = page["vault"]["revision"] = signed.entry.n
    return answers


@pytest.mark.parametrize(
    ("op", "item_id"),
    [
        ("put", IDS[2]),  # in the trash
        ("put", IDS[4]),  # removed, in the same delta
        ("restore", IDS[1]),  # active
        ("restore", IDS[4]),
        ("trash", IDS[2]),
        ("remove", IDS[9]),  # never there
        ("trash", IDS[9]),
    ],
)
def test_impossible_signed_entry_is_rejected(sample, op, item_id):
    fields = {"op": append.Op(op), "item_id": item_id}
    if op == "put":
        fields |= {"content_revision": 13, "content": bytes(32)}
    if op in ("trash", "restore"):
        fields |= {"content_revision": 3, "content": bytes(32)}
    signed = sign_last(sample, sample.ann, **fields)

    with pytest.raises(ChainBroken):
        sample.held.judge(announced(sample.server.sync(5), signed))


@pytest.mark.parametrize(
    "fields",
    [
        {"op": append.Op.REPAIR, "item_id": IDS[0]},
        {"op": append.Op.REPAIR, "content": b"c" * 32},
        {"op": append.Op.REPAIR, "content_revision": 13},
        {"op": append.Op.RENAME, "content_revision": 12},
        {"op": append.Op.PUT, "item_id": None, "content_revision": 13},
        {"op": append.Op.PUT, "item_id": IDS[0], "content_revision": 12},
        {"op": append.Op.TRASH, "item_id": IDS[0], "content_revision": 13},
        {"op": append.Op.TRASH, "item_id": IDS[0], "content_revision": 0},
        {"op": append.Op.REMOVE, "item_id": IDS[0], "content_revision": 1},
    ],
)
def test_malformed_signed_entry_is_rejected(sample, fields):
    signed = sign_last(sample, sample.ann, **fields)

    with pytest.raises(ChainBroken, match="is not a valid"):
        sample.held.judge(announced(sample.server.sync(5), signed))


def test_signed_restore_of_older_content_is_rejected(sample):
    old = sample.held.state.items[IDS[1]]
    sample.ann.write(sample.server, Change.trash(IDS[1]))
    signed = sign_last(
        sample,
        sample.ann,
        op=append.Op.RESTORE,
        item_id=IDS[1],
        content_revision=old.content_revision,
        content=old.content,
    )

    with pytest.raises(ChainBroken, match="a different content"):
        sample.held.judge(announced(sample.server.sync(5), signed))


def test_entry_that_vouches_for_another_set_is_rejected(sample):
    total = sample.ann.state.total + 1
    signed = sign_last(sample, sample.ann, vouch=vouch(sample.ann.keys[1].lk, VAULT, 13, total))

    with pytest.raises(StateMismatch, match="not the ones that your devices wrote"):
        sample.held.judge(announced(sample.server.sync(5), signed))


def test_repair_vouches_for_current_contents(sample):
    sample.ann.write(sample.server, Change.repair())

    assert sample.held.sync(sample.server) == sample.ann.state


def test_new_generation_is_followed_and_recomputed(sample):
    sample.ann.write(sample.server, Change.rotate_begin())
    active = [each for each, held in sample.ann.state.items.items() if held.state == "active"]
    puts = [put(sample.ann, each, "moved") for each in active]
    sample.ann.write(sample.server, rename(sample.ann, "moved"), *puts)
    sample.ann.write(sample.server, Change.rotate_end())

    assert sample.held.sync(sample.server) == sample.ann.state
    assert sample.held.state.generation == 2


def test_generation_never_decreases_even_when_signed(sample):
    sample.ann.write(sample.server, Change.rotate_begin())
    signed = sign_last(sample, sample.ann, generation=1)

    with pytest.raises(ChainBroken, match="version 1 of the keys after version 2"):
        sample.held.judge(announced(sample.server.sync(5), signed))


def test_generation_increases_only_by_rotation_entry(sample):
    sample.held.keys[2] = sample.ann.keys[2] = VaultKeys.new()
    signed = sign_last(sample, sample.ann, generation=2)

    with pytest.raises(ChainBroken, match="version 2 of the keys after version 1"):
        sample.held.judge(announced(sample.server.sync(5), signed))


def test_new_generation_without_its_keys_is_rejected(sample):
    sample.ann.write(sample.server, Change.rotate_begin())
    answers = sample.server.sync(5)
    answers[0]["vault"]["keys"].pop()

    with pytest.raises(StateMismatch, match="did not return version 2"):
        sample.held.judge(answers)
