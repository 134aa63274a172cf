from uuid import UUID

import pytest

from tests.harness.client import sample_vault
from tests.harness.client.sample_device import VAULT
from vaultr.client.errors import AnswerInvalid, ChainBroken, RolledBack, StateMismatch
from vaultr.client.log.entries import Waypoint, short_head
from vaultr.client.storage.pins import Derivation, Pins
from vaultr.client.storage.profile import new_profile
from vaultr.client.transport.http_transport import Answer
from vaultr.client.vaults.vault_list import ask_list, check_list
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import first_head
from vaultr.protocol.kdf import Kdf

PINS = Pins.of(
    Derivation(UUID(int=1), Kdf.RECOMMENDED, bytes(range(32))),
    origin="https://vault.example",
    secret_key=True,
)


def listed(server, **changes):
    return server.view() | changes


@pytest.fixture
def sample():
    return sample_vault.create()


@pytest.fixture
def known(sample):
    return new_profile(PINS).with_head(VAULT, sample.ann.state.waypoint)


def test_vault_of_matching_list_may_be_opened(sample, known):
    found = check_list(known, [listed(sample.server)], {VAULT: sample.ann.state})

    assert list(found.open) == [VAULT]
    assert found.deleted == ()


def test_vault_ahead_of_profile_may_be_opened(sample):
    known = new_profile(PINS).with_head(VAULT, sample.held.state.waypoint)

    found = check_list(known, [listed(sample.server)], {VAULT: sample.held.state})

    assert list(found.open) == [VAULT]


def test_vault_missing_in_profile_may_be_opened(sample):
    found = check_list(new_profile(PINS), [listed(sample.server)], {})

    assert list(found.open) == [VAULT]


@pytest.mark.parametrize("by", ["profile", "device"])
def test_missing_known_vault_is_a_rollback(sample, known, by):
    profile = known if by == "profile" else new_profile(PINS)
    held = {} if by == "profile" else {VAULT: sample.ann.state}

    with pytest.raises(RolledBack, match="missing") as caught:
        check_list(profile, [], held)

    assert short_head(sample.server.head) in str(caught.value)


@pytest.mark.parametrize("by", ["profile", "device"])
def test_known_vault_at_older_revision_is_a_rollback(sample, known, by):
    profile = known if by == "profile" else new_profile(PINS)
    held = {} if by == "profile" else {VAULT: sample.ann.state}

    with pytest.raises(RolledBack) as caught:
        check_list(profile, [listed(sample.old)], held)

    assert short_head(sample.server.head) in str(caught.value)
    assert short_head(sample.old.head) in str(caught.value)


def test_other_head_at_known_revision_is_a_fork(sample, known):
    with pytest.raises(ChainBroken):
        check_list(known, [listed(sample.server, head=b64(bytes(32)))], {})


def test_other_generation_at_known_revision_is_a_mismatch(sample, known):
    with pytest.raises(StateMismatch):
        check_list(known, [listed(sample.server, generation=2)], {})


def test_deleted_vault_in_list_is_reported_but_not_opened(sample, known):
    profile = known.with_deleted(VAULT)

    found = check_list(profile, [listed(sample.server)], {VAULT: sample.ann.state})

    assert found.deleted == (VAULT,)
    assert found.open == {}


def test_unlisted_deleted_vault_is_accepted(sample, known):
    found = check_list(known.with_deleted(VAULT), [], {})

    assert (found.deleted, found.open) == ((), {})


def test_vault_listed_twice_is_rejected(sample, known):
    with pytest.raises(AnswerInvalid, match="twice"):
        check_list(known, [listed(sample.server)] * 2, {})


def test_unwritten_vault_has_its_first_head(sample):
    profile = new_profile(PINS).with_head(VAULT, Waypoint(0, first_head(VAULT), 1))
    new = listed(sample.server, revision=0, head=b64(first_head(VAULT)))

    assert check_list(profile, [new], {}).open == {VAULT: new}
    with pytest.raises(ChainBroken):
        check_list(profile, [new | {"head": b64(bytes(32))}], {})


class Listing:
    """Returns the same page of a list each time, with a next page."""

    def __init__(self, vaults, size):
        self.page = Answer(200, {"vaults": vaults, "next_cursor": "more"}, None, size)
        self.requested = 0

    def send(self, method, path):
        self.requested += 1
        return self.page


def test_endless_vault_list_stops_at_page_limit():
    sender = Listing([], size=100)

    with pytest.raises(AnswerInvalid, match="no end"):
        list(ask_list(sender))

    assert sender.requested == 100


def test_vault_list_stops_at_size_limit():
    sender = Listing([{"id": "v", "junk": "j"}], size=30 << 20)

    with pytest.raises(AnswerInvalid, match="no end"):
        list(ask_list(sender))

    assert sender.requested == 3


def test_page_with_more_rows_than_requested_is_invalid(sample):
    with pytest.raises(AnswerInvalid, match="more vaults on a page"):
        list(ask_list(Listing([listed(sample.server)] * 201, size=100)))
