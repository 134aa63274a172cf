"""A malicious server and a device with a state: each attack must raise an error."""

import copy

import pytest

from tests.harness.client import sample_vault
from tests.harness.client.sample_device import VAULT, Device
from tests.harness.client.sample_vault import IDS, chained, put
from tests.harness.client.tampered_deltas import ATTACKS_ON_DELTA, roll_back_to_revision_5
from tests.harness.client.tampered_histories import ATTACKS_ON_ANY_SYNC
from vaultr.client.errors import ChainBroken, IntegrityError, RolledBack, StateMismatch
from vaultr.client.log import verify
from vaultr.client.log.entries import Waypoint, short_head
from vaultr.protocol.encoding import b64, unb64


@pytest.fixture
def sample():
    return sample_vault.create()


@pytest.mark.parametrize(
    "attack", [*ATTACKS_ON_ANY_SYNC, *ATTACKS_ON_DELTA], ids=lambda attack: attack.__name__
)
def test_attack_on_delta_sync_is_rejected(attack, sample):
    answers = sample.server.sync(5)
    before = sample.held.state
    known = Waypoint(12, sample.server.head, 1) if attack is roll_back_to_revision_5 else None
    attack(answers, sample)

    with pytest.raises(IntegrityError):
        sample.held.judge(answers, known)

    assert sample.held.state is before


def test_honest_delta_produces_the_writers_state(sample):
    synced = sample.held.judge(sample.server.sync(5))

    assert synced.state == sample.ann.state
    assert set(synced.rows) == {IDS[1], IDS[2], IDS[3], IDS[6]}
    assert synced.removed == {IDS[4]}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
def test_honest_delta_in_pages_produces_the_writers_state(sample, limit):
    assert sample.held.sync(sample.server, limit=limit) == sample.ann.state


def test_write_between_two_pages_is_synced(sample):
    first = sample.server.sync(5, limit=3)[:1]
    sample.ann.write(sample.server, put(sample.ann, IDS[1], "again"))

    sample.held.judge([*first, *sample.server.sync(8)])

    assert sample.held.state == sample.ann.state


def test_unchanged_response_changes_nothing(sample):
    sample.held.sync(sample.server)
    before = sample.held.state

    synced = sample.held.judge(sample.server.sync(12))

    assert synced.state == before
    assert synced.rows == {}


@pytest.mark.parametrize("relink", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("op", "restore"),
        ("item_id", str(IDS[0])),
        ("item_id", None),
        ("content_revision", 5),
        ("content", b64(bytes(32))),
        ("generation", 2),
        ("author_id", str(IDS[0])),
        ("vouch", b64(bytes(32))),
        ("mac", b64(bytes(32))),
        ("n", 13),
    ],
)
def test_entry_with_changed_field_is_rejected(sample, name, value, relink):
    for place in range(7):
        answers = sample.server.sync(5)
        entry = answers[0]["entries"][place]
        if entry[name] == value:
            continue
        entry[name] = value
        if relink:
            chained(answers, sample.held.state.head)

        with pytest.raises(IntegrityError):
            sample.held.judge(answers)


def test_pages_out_of_order_are_rejected(sample):
    pages = sample.server.sync(5, limit=3)

    with pytest.raises(IntegrityError):
        sample.held.judge([pages[1], pages[0], pages[2]])


def test_endless_identical_pages_are_rejected(sample):
    page = sample.server.sync(5, limit=3)[0]

    def endless_pages():
        while True:
            yield copy.deepcopy(page)

    with pytest.raises(IntegrityError):
        sample.held.judge(endless_pages())


def test_rollback_between_pages_is_detected(sample):
    first = sample.server.sync(5, limit=3)[:1]
    old_but_later = copy.deepcopy(sample.old)
    device = Device(dict(sample.held.keys), sample.held.state)
    device.write(old_but_later, *[put(device, each) for each in IDS[5:9]])

    with pytest.raises(RolledBack):
        sample.held.judge([*first, *old_but_later.sync(8)])


def test_lower_revision_is_a_rollback_naming_both_heads(sample):
    sample.held.sync(sample.server)

    with pytest.raises(IntegrityError):
        sample.held.judge(sample.old.sync(4))
    with pytest.raises(RolledBack) as caught:
        verify.take_delta(sample.held.state, shown_of(sample.old), sample.held.keys, None)

    assert short_head(sample.server.head) in str(caught.value)
    assert short_head(sample.old.head) in str(caught.value)
    assert caught.value.vault_id == VAULT


def shown_of(server):
    shown = verify.Shown(vault_id=VAULT, since=12, through=12)
    shown.n, shown.head, shown.generation = server.n, server.head, server.generation
    return shown


def test_two_histories_of_one_vault_are_a_fork(sample):
    other = copy.deepcopy(sample.old)
    bob = sample.held.twin()
    bob.write(other, *[put(bob, each, "bob") for each in IDS[:9]])
    sample.held.sync(sample.server)

    with pytest.raises(ChainBroken):
        sample.held.judge(other.sync(12))


def test_fork_at_the_same_revision_is_detected(sample):
    other = copy.deepcopy(sample.old)
    bob = sample.held.twin()
    bob.write(other, *[put(bob, each, "bob") for each in IDS[:7]])
    sample.held.sync(sample.server)

    with pytest.raises(ChainBroken):
        sample.held.judge(other.sync(12))


def test_single_item_must_equal_verified_state(sample):
    row = copy.deepcopy(sample.server.items[IDS[1]])
    state = sample.ann.state

    assert verify.check_item(state, row) == state.items[IDS[1]]

    for attack in (
        sample.old.items[IDS[1]],
        row | {"detail": sample.old.items[IDS[1]]["detail"]},
        row | {"id": str(IDS[0])},
        row | {"type": "note"},
        row | {"state": "trash"},
        row | {"revision": 12},
        row | {"content_revision": 5},
        row | {"id": str(IDS[9])},
        sample.old.items[IDS[4]],
    ):
        with pytest.raises(StateMismatch):
            verify.check_item(state, attack)


def test_mismatch_names_local_and_server_heads(sample):
    answers = sample.server.sync(5)
    answers[0]["items"].pop(0)

    with pytest.raises(StateMismatch) as caught:
        sample.held.judge(answers)

    assert short_head(sample.held.state.head) in str(caught.value)
    assert short_head(unb64(answers[0]["head"])) in str(caught.value)
