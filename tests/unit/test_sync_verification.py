"""A cheating server against a device that holds a state: each lie must raise."""

import copy

import pytest

from tests.unit import sample_vault
from tests.unit.minimal_server import VAULT, Device
from tests.unit.sample_vault import IDS, chained, put
from tests.unit.tampered_deltas import ABOUT_A_DELTA, go_back_to_revision_5
from tests.unit.tampered_histories import ABOUT_ANY_SYNC
from vaultr.client.errors import ChainBroken, IntegrityError, RolledBack, StateMismatch
from vaultr.client.log import verify
from vaultr.client.log.entries import Waypoint, short_head
from vaultr.protocol.encoding import b64, unb64


@pytest.fixture
def told():
    return sample_vault.told()


@pytest.mark.parametrize("lie", [*ABOUT_ANY_SYNC, *ABOUT_A_DELTA], ids=lambda lie: lie.__name__)
def test_a_server_cannot(lie, told):
    answers = told.server.sync(5)
    before = told.held.state
    known = Waypoint(12, told.server.head, 1) if lie is go_back_to_revision_5 else None
    lie(answers, told)

    with pytest.raises(IntegrityError):
        told.held.judge(answers, known)

    assert told.held.state is before


def test_an_honest_delta_leads_to_the_state_of_the_writer(told):
    synced = told.held.judge(told.server.sync(5))

    assert synced.state == told.ann.state
    assert set(synced.rows) == {IDS[1], IDS[2], IDS[3], IDS[6]}
    assert synced.removed == {IDS[4]}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
def test_an_honest_delta_may_come_in_pages(told, limit):
    assert told.held.sync(told.server, limit=limit) == told.ann.state


def test_a_write_between_two_pages_is_followed(told):
    first = told.server.sync(5, limit=3)[:1]
    told.ann.write(told.server, put(told.ann, IDS[1], "again"))

    told.held.judge([*first, *told.server.sync(8)])

    assert told.held.state == told.ann.state


def test_nothing_new_is_no_change(told):
    told.held.sync(told.server)
    before = told.held.state

    synced = told.held.judge(told.server.sync(12))

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
def test_no_field_of_an_entry_can_be_changed(told, name, value, relink):
    for place in range(7):
        answers = told.server.sync(5)
        entry = answers[0]["entries"][place]
        if entry[name] == value:
            continue
        entry[name] = value
        if relink:
            chained(answers, told.held.state.head)

        with pytest.raises(IntegrityError):
            told.held.judge(answers)


def test_pages_out_of_order_are_refused(told):
    pages = told.server.sync(5, limit=3)

    with pytest.raises(IntegrityError):
        told.held.judge([pages[1], pages[0], pages[2]])


def test_pages_that_lead_nowhere_end(told):
    page = told.server.sync(5, limit=3)[0]

    def forever():
        while True:
            yield copy.deepcopy(page)

    with pytest.raises(IntegrityError):
        told.held.judge(forever())


def test_a_server_that_goes_back_between_two_pages_is_caught(told):
    first = told.server.sync(5, limit=3)[:1]
    old_but_later = copy.deepcopy(told.old)
    device = Device(dict(told.held.keys), told.held.state)
    device.write(old_but_later, *[put(device, each) for each in IDS[5:9]])

    with pytest.raises(RolledBack):
        told.held.judge([*first, *old_but_later.sync(8)])


def test_a_lower_revision_is_a_rollback_that_names_both_heads(told):
    told.held.sync(told.server)

    with pytest.raises(IntegrityError):
        told.held.judge(told.old.sync(4))
    with pytest.raises(RolledBack) as caught:
        verify.take_delta(told.held.state, shown_of(told.old), told.held.keys, None)

    assert short_head(told.server.head) in str(caught.value)
    assert short_head(told.old.head) in str(caught.value)
    assert caught.value.vault_id == VAULT


def shown_of(server):
    shown = verify.Shown(vault_id=VAULT, since=12, through=12)
    shown.n, shown.head, shown.generation = server.n, server.head, server.generation
    return shown


def test_two_histories_of_one_vault_are_a_fork(told):
    other = copy.deepcopy(told.old)
    bob = told.held.twin()
    bob.write(other, *[put(bob, each, "bob") for each in IDS[:9]])
    told.held.sync(told.server)

    with pytest.raises(ChainBroken):
        told.held.judge(other.sync(12))


def test_a_fork_at_the_same_revision_is_seen(told):
    other = copy.deepcopy(told.old)
    bob = told.held.twin()
    bob.write(other, *[put(bob, each, "bob") for each in IDS[:7]])
    told.held.sync(told.server)

    with pytest.raises(ChainBroken):
        told.held.judge(other.sync(12))


def test_one_item_alone_is_believed_only_as_it_was_verified(told):
    row = copy.deepcopy(told.server.items[IDS[1]])
    state = told.ann.state

    assert verify.check_item(state, row) == state.items[IDS[1]]

    for lie in (
        told.old.items[IDS[1]],
        row | {"detail": told.old.items[IDS[1]]["detail"]},
        row | {"id": str(IDS[0])},
        row | {"type": "note"},
        row | {"state": "trash"},
        row | {"revision": 12},
        row | {"content_revision": 5},
        row | {"id": str(IDS[9])},
        told.old.items[IDS[4]],
    ):
        with pytest.raises(StateMismatch):
            verify.check_item(state, lie)


def test_a_mismatch_names_what_is_held_and_what_is_shown(told):
    answers = told.server.sync(5)
    answers[0]["items"].pop(0)

    with pytest.raises(StateMismatch) as caught:
        told.held.judge(answers)

    assert short_head(told.held.state.head) in str(caught.value)
    assert short_head(unb64(answers[0]["head"])) in str(caught.value)
