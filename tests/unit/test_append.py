from uuid import UUID

import pytest

from tests.harness import known_answers
from tests.harness.client import sample_vault
from tests.harness.client.sample_device import ACCOUNT, VAULT, Device
from tests.harness.client.sample_vault import IDS, put, rename
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.errors import Conflict, InTrash, ItemNotFound, StateMismatch
from vaultr.client.log import append, receipts
from vaultr.client.log.append import Change
from vaultr.client.log.state import VaultState, new_vault, total_of
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import Op

LOG = known_answers.load("vp1")["log"]


@pytest.fixture
def sample():
    return sample_vault.create()


def change_of(entry):
    item_id = UUID(hex=entry["item_id"])
    if entry["op"] == "put":
        parts = bytes.fromhex(entry["overview"]), bytes.fromhex(entry["detail"])
        return Change.put(item_id, entry["type"], *parts)
    return Change(Op(entry["op"]), item_id)


@pytest.fixture
def known_log():
    keys = VaultKeys(vk=bytes(32), lk=bytes.fromhex(LOG["lk"]))
    state = new_vault(UUID(hex=LOG["vault_id"]), bytes.fromhex(LOG["overview"]), keys)
    return state, {1: keys}


def test_log_matches_the_test_vectors(known_log):
    state, keys = known_log
    assert state.head.hex() == LOG["head_0"]

    for known in LOG["entries"]:
        batch = append.prepare(
            state, [change_of(known)], keys=keys, author_id=UUID(hex=LOG["author_id"])
        )
        signed, state = batch.last.signed, batch.state
        assert signed.entry.vouch.hex() == known["vouch"]
        assert signed.mac.hex() == known["mac"]
        assert signed.head.hex() == known["head"] == state.head.hex()


def test_batch_produces_same_heads_as_single_writes(known_log):
    state, keys = known_log

    batch = append.prepare(
        state,
        [change_of(known) for known in LOG["entries"]],
        keys=keys,
        author_id=UUID(hex=LOG["author_id"]),
    )

    assert [each.head.hex() for each in batch.writes] == [each["head"] for each in LOG["entries"]]
    assert [each.revision for each in batch.writes] == [1, 2, 3, 4, 5]


def test_prepare_does_not_change_the_state(sample):
    before = sample.ann.state.to_json()

    append.prepare(
        sample.ann.state, [Change.remove(IDS[0])], keys=sample.ann.keys, author_id=ACCOUNT
    )

    assert sample.ann.state.to_json() == before


def test_incremental_sum_equals_full_sum(sample):
    sample.ann.write(sample.server, Change.rotate_begin(), rename(sample.ann, "third name"))
    state = sample.ann.state

    assert state.total == total_of(sample.ann.keys[2].lk, state.items, state.overview)


def test_entry_json_has_exactly_the_four_request_fields(sample):
    batch = sample.ann.write(sample.server, put(sample.ann, IDS[7]))

    entry = batch.last.entry_json()

    assert set(entry) == {"n", "prev", "vouch", "mac"}
    assert entry["n"] == 13
    assert batch.last.head == sample.server.head


@pytest.mark.parametrize(
    ("change", "rejection"),
    [
        (Change.put(IDS[2], "login", b"", b""), InTrash),
        (Change.trash(IDS[2]), InTrash),
        (Change.restore(IDS[0]), Conflict),
        (Change.trash(IDS[9]), ItemNotFound),
        (Change.restore(IDS[9]), ItemNotFound),
        (Change.remove(IDS[4]), ItemNotFound),
    ],
)
def test_invalid_write_is_rejected_before_sending(sample, change, rejection):
    with pytest.raises(rejection):
        append.prepare(sample.ann.state, [change], keys=sample.ann.keys, author_id=ACCOUNT)


def answer_of(batch):
    return batch.last.item_json() | {"head": b64(batch.last.head)}


@pytest.mark.parametrize(
    "change",
    [
        Change.put(IDS[7], "login", b"o", b"d"),
        Change.trash(IDS[0]),
        Change.restore(IDS[2]),
        Change.remove(IDS[2]),
    ],
)
def test_response_must_equal_computed_state(sample, change):
    batch = sample.ann.write(sample.server, change)
    answer = answer_of(batch)

    receipts.check_write(batch, answer)

    attacks = {
        "id": str(IDS[9]),
        "revision": 14,
        "content_revision": 14,
        "generation": 2,
        "state": "other",
        "head": b64(bytes(32)),
    }
    for name in answer:
        with pytest.raises(StateMismatch):
            receipts.check_write(batch, answer | {name: attacks[name]})


def test_batch_response_must_equal_computed_batch(sample):
    batch = sample.ann.write(sample.server, put(sample.ann, IDS[7]), Change.trash(IDS[0]))
    results = [
        {"item_id": str(IDS[7]), "revision": 13},
        {"item_id": str(IDS[0]), "revision": 14},
    ]
    answer = {"results": results, "revision": 14, "head": b64(sample.server.head)}

    receipts.check_batch(batch, answer)

    for attack in (
        {"results": results[::-1]},
        {"results": results[:1]},
        {"revision": 15},
        {"head": b64(bytes(32))},
    ):
        with pytest.raises(StateMismatch, match=r"computed \(revision 14 "):
            receipts.check_batch(batch, answer | attack)


def test_rename_response_must_equal_computed_vault(sample):
    batch = sample.ann.write(sample.server, rename(sample.ann, "third name"))
    answer = sample.server.view()

    receipts.check_vault(batch, answer)

    for attack in (
        {"id": str(IDS[0])},
        {"revision": 12},
        {"head": b64(bytes(32))},
        {"generation": 2},
        {"overview_revision": 12},
        {"overview_generation": 2},
    ):
        with pytest.raises(StateMismatch):
            receipts.check_vault(batch, answer | attack)


def test_state_survives_json_round_trip(sample):
    sample.held.sync(sample.server, sample.ann.state.waypoint)

    for state in (sample.held.state, sample.ann.state):
        assert VaultState.from_json(state.to_json()) == state


def test_repr_of_state_omits_its_sum(sample):
    assert str(sample.ann.state.total) not in repr(sample.ann.state)
    assert sample.ann.state.vault_id == VAULT


def test_concurrent_writers_rebase_on_each_other(sample):
    bob = sample.ann.twin()
    sample.ann.write(sample.server, put(sample.ann, IDS[0], "ann"))

    bob.sync(sample.server)
    bob.write(sample.server, put(bob, IDS[1], "bob"))

    assert sample.ann.sync(sample.server).items == bob.state.items


def test_new_vault_starts_at_its_first_head():
    ann, server = Device.with_new_vault()

    assert (ann.state.n, ann.state.generation) == (0, 1)
    assert ann.state.head == server.head
