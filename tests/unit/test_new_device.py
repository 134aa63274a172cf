"""A malicious server and a device without a state, with and without a head in the profile."""

import copy

import pytest

from tests.harness.client import sample_vault
from tests.harness.client.sample_device import VAULT, Device
from tests.harness.client.sample_vault import IDS, put
from tests.harness.client.tampered_deltas import change_revision_of_item
from tests.harness.client.tampered_histories import ATTACKS_ON_ANY_SYNC, item
from vaultr.client.errors import (
    ChainBroken,
    IntegrityError,
    RolledBack,
    SealBroken,
    StateMismatch,
)
from vaultr.client.log import pages, verify
from vaultr.client.log.append import Change
from vaultr.client.log.entries import Waypoint, short_head
from vaultr.client.log.state import SyncPlan, plan_sync
from vaultr.protocol.encoding import b64


@pytest.fixture
def sample():
    return sample_vault.create()


def omit_newest_item(answers, sample):
    answers[0]["items"].pop()


def set_overview_revision_above_vault(answers, sample):
    answers[0]["vault"]["overview_revision"] = 13


def set_overview_generation_above_vault(answers, sample):
    answers[0]["vault"]["overview_generation"] = 2


def return_older_head_entry(answers, sample):
    answers[0]["head_entry"] = sample.old.entries[-1]


def return_older_items_under_newest_entry(answers, sample):
    answers[0].update(items=sample.old.sync()[0]["items"], removed=[])


def return_unrequested_entries(answers, sample):
    answers[0]["entries"] = sample.server.sync(5)[0]["entries"]


def skip_page(answers, sample):
    pages = sample.server.sync(0, limit=2)
    answers[:] = [pages[0], pages[2]]


def omit_wraps(answers, sample):
    answers[0]["vault"]["keys"] = []


ATTACKS_ON_FULL_SET = (
    omit_wraps,
    omit_newest_item,
    change_revision_of_item,
    set_overview_revision_above_vault,
    set_overview_generation_above_vault,
    return_older_head_entry,
    return_older_items_under_newest_entry,
    return_unrequested_entries,
    skip_page,
)


@pytest.mark.parametrize(
    "attack", [*ATTACKS_ON_ANY_SYNC, *ATTACKS_ON_FULL_SET], ids=lambda attack: attack.__name__
)
def test_attack_on_full_sync_is_rejected(attack, sample):
    answers = sample.server.sync()
    device = Device()
    attack(answers, sample)

    with pytest.raises(IntegrityError):
        device.judge(answers)

    assert device.state is None


@pytest.mark.parametrize("limit", [1, 3, 5, 1000])
def test_honest_full_sync_produces_the_writers_state(sample, limit):
    assert Device().sync(sample.server, limit=limit) == sample.ann.state


def test_item_changed_between_pages_counts_once(sample):
    first = sample.server.sync(0, limit=2)[:1]
    sample.ann.write(sample.server, put(sample.ann, IDS[0], "again"), Change.remove(IDS[1]))
    rest = sample.server.sync(0)[0]
    rest["items"] = [each for each in rest["items"] if each["revision"] > 2]
    device = Device()

    device.judge([*first, rest])

    assert device.state == sample.ann.state


def test_new_vault_syncs_as_empty():
    ann, server = Device.with_new_vault()

    assert Device().sync(server) == ann.state
    assert plan_sync(ann.state, None) == SyncPlan(full=True, since=0, conditional=True)


@pytest.mark.parametrize("attack", ["items", "head", "generation", "overview_revision"])
def test_new_vault_with_unvouched_state_is_rejected(sample, attack):
    _, server = Device.with_new_vault()
    answers = server.sync()
    if attack == "items":
        answers[0]["removed"] = [{"id": str(IDS[0]), "revision": 1}]
    if attack == "head":
        answers[0]["head"] = answers[0]["vault"]["head"] = b64(bytes(32))
    if attack in ("generation", "overview_revision"):
        answers[0]["vault"][attack] += 1

    with pytest.raises(IntegrityError):
        Device().judge(answers)


def test_new_vault_contradicting_profile_is_rejected(sample):
    _, empty = Device.with_new_vault()

    with pytest.raises(RolledBack) as caught:
        Device().judge(empty.sync(), known=sample.ann.state.waypoint)

    assert short_head(sample.server.head) in str(caught.value)
    assert short_head(empty.head) in str(caught.value)


def test_revision_0_in_profile_is_ignored(sample):
    ann, empty = Device.with_new_vault()

    assert Device().sync(empty, known=ann.state.waypoint) == ann.state
    assert Device().sync(sample.server, known=Waypoint(0, bytes(32), 1)).n == 12


def test_genuine_older_state_is_a_rollback_against_profile(sample):
    with pytest.raises(RolledBack):
        Device().judge(sample.old.sync(), known=sample.ann.state.waypoint)


def test_new_device_proves_profile_head_leads_to_state(sample):
    known = sample.held.state.waypoint

    state = Device().sync(sample.server, known)

    assert state.passed == known
    assert state.items == sample.ann.state.items


def test_equal_profile_revision_needs_no_chain(sample):
    device = Device()

    synced = device.judge(sample.server.sync(), known=sample.ann.state.waypoint)

    assert synced.state.passed == sample.ann.state.waypoint
    assert plan_sync(device.state, sample.ann.state.waypoint).conditional


def test_other_head_at_revision_of_profile_is_a_fork(sample):
    known = Waypoint(12, bytes(32), 1)

    with pytest.raises(ChainBroken):
        Device().judge(sample.server.sync(), known)


def test_higher_revision_with_forked_chain_is_rejected(sample):
    other = copy.deepcopy(sample.old)
    bob = sample.held.twin()
    bob.write(other, *[put(bob, each, "bob") for each in [*IDS, *IDS]])
    device = Device()
    device.judge(other.sync(), known=sample.ann.state.waypoint)

    with pytest.raises(ChainBroken):
        device.judge(other.sync(12), known=sample.ann.state.waypoint)


def test_new_device_chain_must_end_at_its_state(sample):
    device = Device()
    known = sample.held.state.waypoint
    device.judge(sample.server.sync(), known)
    other = copy.deepcopy(sample.old)
    bob = sample.held.twin()
    bob.write(other, *[put(bob, each, "bob") for each in [*IDS, *IDS]])

    with pytest.raises(ChainBroken):
        device.judge(other.sync(5), known)


def test_write_during_new_device_sync_is_followed(sample):
    device = Device()
    known = sample.held.state.waypoint
    device.judge(sample.server.sync(), known)
    sample.ann.write(sample.server, put(sample.ann, IDS[7]), Change.remove(IDS[0]))

    device.judge(sample.server.sync(5), known)

    assert device.state.items == sample.ann.state.items
    assert device.state.passed == known


def test_known_device_follows_chain_through_later_profile_head(sample):
    assert plan_sync(sample.held.state, sample.ann.state.waypoint).since == 5

    state = sample.held.sync(sample.server, sample.ann.state.waypoint)

    assert state.passed == sample.ann.state.waypoint
    assert plan_sync(state, sample.ann.state.waypoint).conditional


def test_known_device_follows_chain_from_earlier_profile_head(sample):
    known = sample.held.state.waypoint
    assert plan_sync(sample.ann.state, known) == SyncPlan(full=False, since=5, conditional=False)

    state = sample.ann.sync(sample.server, known)

    assert state.passed == known
    assert plan_sync(state, known) == SyncPlan(full=False, since=12, conditional=True)


def test_known_device_rejects_other_head_than_profile(sample):
    forked = Waypoint(5, bytes(32), 1)
    ahead = Waypoint(9, bytes(32), 1)

    with pytest.raises(ChainBroken):
        sample.ann.judge(sample.server.sync(5), forked)
    with pytest.raises(ChainBroken):
        sample.held.judge(sample.server.sync(5), ahead)
    with pytest.raises(ChainBroken):
        plan_sync(sample.ann.state, Waypoint(12, bytes(32), 1))


def test_known_device_rejects_state_older_than_profile(sample):
    with pytest.raises(RolledBack):
        sample.held.judge(sample.old.sync(5), sample.ann.state.waypoint)


def test_row_below_cached_revision_must_equal_cached_row(sample):
    answers = sample.server.sync(5)
    item(answers, IDS[1])["state"] = "trash"

    with pytest.raises(StateMismatch):
        sample.ann.judge(answers, sample.held.state.waypoint)


def test_removal_below_cached_revision_is_rejected(sample):
    answers = sample.server.sync(5)
    answers[0]["items"] = []
    answers[0]["removed"].append({"id": str(IDS[1]), "revision": 6})

    with pytest.raises(StateMismatch):
        sample.ann.judge(answers, sample.held.state.waypoint)


def test_delta_is_not_verified_as_full_state(sample):
    delta = pages.gather(VAULT, sample.server.sync(3), since=3)

    with pytest.raises(ValueError, match="needs a full set"):
        verify.take_full(delta, sample.ann.keys, None)
    with pytest.raises(ValueError, match="must start at a known head"):
        verify.take_delta(sample.held.state, delta, sample.ann.keys, None)


def test_device_at_revision_0_starts_with_full_sync(sample):
    ann, server = Device.with_new_vault()
    bob = ann.twin()
    ann.write(server, put(ann, IDS[0]))

    assert bob.sync(server) == ann.state
    assert bob.state.vault_id == VAULT


def test_withheld_keys_are_detected_before_storing_state(sample):
    sample.ann.write(sample.server, Change.rotate_begin())
    wraps = sample.server.stored["keys"]
    sample.server.stored["keys"] = [wrap for wrap in wraps if wrap["generation"] == 2]

    with pytest.raises(StateMismatch, match="did not return version 1 of them"):
        Device().sync(sample.server)


def test_unwritten_vault_with_unopenable_name_is_rejected():
    _, server = Device.with_new_vault()
    server.stored["overview"] = b64(bytes([1]) * 145)

    with pytest.raises(SealBroken):
        Device().sync(server)
