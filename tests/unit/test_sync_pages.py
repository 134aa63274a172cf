"""The format of a sync, before it is verified."""

import copy
import itertools

import pytest

from tests.harness.client import sample_vault
from tests.harness.client.sample_device import VAULT
from tests.harness.client.sample_vault import IDS
from vaultr.client.errors import AnswerInvalid, RolledBack, StateMismatch
from vaultr.client.log.pages import gather
from vaultr.protocol.encoding import b64


@pytest.fixture
def sample():
    return sample_vault.create()


def test_merged_pages_equal_the_server_state(sample):
    one = gather(VAULT, sample.server.sync(5), since=5)
    many = gather(VAULT, sample.server.sync(5, limit=2), since=5)

    assert many.items == one.items
    assert (many.entries, many.removed) == (one.entries, one.removed)
    assert (one.n, one.head, one.generation) == (12, sample.server.head, 1)
    assert set(one.wraps) == {1}


def test_pages_are_fetched_one_by_one(sample):
    requested = []

    def fetched():
        for page in sample.server.sync(5, limit=2):
            requested.append(page["through"])
            yield page

    gather(VAULT, fetched(), since=5)

    assert requested == [7, 9, 11, 12]


def test_no_page_is_fetched_after_an_invalid_one(sample):
    requested = []

    def fetched():
        for page in sample.server.sync(5, limit=2):
            requested.append(page["through"])
            yield page | {"through": page["through"] - 2}

    with pytest.raises(AnswerInvalid):
        gather(VAULT, fetched(), since=5)

    assert requested == [7]


def test_missing_page_is_an_error():
    with pytest.raises(AnswerInvalid, match="its end is missing"):
        gather(VAULT, [], since=0)


def test_page_after_the_last_is_rejected(sample):
    page = sample.server.sync(5)[0]

    with pytest.raises(AnswerInvalid, match="after its end"):
        gather(VAULT, [page, page], since=5)


@pytest.mark.parametrize(
    "change",
    [
        {"through": 11},
        {"through": 13},
        {"through": 4},
        {"more": True},
        {"revision": 13},
    ],
)
def test_page_not_ending_at_its_revision_is_invalid(sample, change):
    page = sample.server.sync(5)[0] | change

    with pytest.raises(AnswerInvalid, match="do not lead"):
        gather(VAULT, [page], since=5)


def test_revision_decreasing_between_pages_is_a_rollback(sample):
    first, *rest = sample.server.sync(5, limit=4)
    first |= {"revision": 14, "vault": first["vault"] | {"revision": 14}}

    with pytest.raises(RolledBack, match="in the middle of a sync"):
        gather(VAULT, [first, *rest], since=5)


@pytest.mark.parametrize(
    "change", [{"id": str(IDS[0])}, {"revision": 11}, {"head": b64(bytes(32))}]
)
def test_page_contradicting_its_vault_is_invalid(sample, change):
    page = sample.server.sync(5)[0]
    page["vault"] |= change

    with pytest.raises(AnswerInvalid, match="contradicts another"):
        gather(VAULT, [page], since=5)


@pytest.mark.parametrize("numbers", [[], [6, 7, 8], [7, 6, 8, 9, 10, 11, 12], [6, 6]])
def test_delta_with_missing_or_reordered_entries_is_invalid(sample, numbers):
    page = sample.server.sync(5)[0]
    page["entries"] = [page["entries"][number - 6] for number in numbers]

    with pytest.raises(AnswerInvalid, match="gap"):
        gather(VAULT, [page], since=5)


@pytest.mark.parametrize("revision", [5, 13])
def test_row_outside_revisions_of_page_is_invalid(sample, revision):
    page = sample.server.sync(5)[0]
    page["removed"][0]["revision"] = revision

    with pytest.raises(AnswerInvalid, match="was not requested"):
        gather(VAULT, [page], since=5)


def test_two_rows_with_one_revision_are_invalid(sample):
    page = sample.server.sync(5)[0]
    page["removed"][0]["revision"] = page["items"][0]["revision"]

    with pytest.raises(AnswerInvalid, match="two items with one revision"):
        gather(VAULT, [page], since=5)


def test_id_repeated_on_a_page_is_rejected(sample):
    page = sample.server.sync(5)[0]
    twice = [*page["items"], page["items"][0] | {"revision": 8}]
    both = [*page["removed"], {"id": page["items"][0]["id"], "revision": 8}]
    again = [*page["removed"], page["removed"][0] | {"revision": 8}]

    for change in ({"items": twice}, {"removed": both}, {"removed": again}):
        with pytest.raises(StateMismatch, match="twice"):
            gather(VAULT, [page | change], since=5)


def test_removed_id_does_not_return_on_later_page(sample):
    first, second = sample.server.sync(0, limit=5)
    second["items"].append(copy.deepcopy(sample.old.items[IDS[4]]) | {"revision": 12})

    with pytest.raises(StateMismatch, match="still returns it"):
        gather(VAULT, [first, second], since=0)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "00000000-0000-0000-0000-000000000000"},
        {"type": "Login"},
        {"type": ""},
        {"type": "a" * 33},
        {"content_revision": 7},
        {"content_revision": 0},
        {"generation": 0},
        {"revision": True},
        {"state": "removed"},
        {"detail": None},
        {"overview": "=="},
    ],
)
def test_malformed_item_is_invalid(sample, change):
    page = sample.server.sync(5)[0]
    page["items"][0] |= change

    with pytest.raises(AnswerInvalid):
        gather(VAULT, [page], since=5)


@pytest.mark.parametrize(
    "change",
    [
        {"op": "rewrite"},
        {"prev": b64(bytes(31))},
        {"mac": None},
        {"item_id": 7},
        {"head": b64(bytes(32))},
        {"n": 2**60},
    ],
)
def test_malformed_entry_or_wrong_head_is_invalid(sample, change):
    page = sample.server.sync(5)[0]
    page["entries"][0] |= change

    with pytest.raises(AnswerInvalid):
        gather(VAULT, [page], since=5)


def test_two_wraps_for_one_generation_are_rejected(sample):
    page = sample.server.sync(5)[0]
    page["vault"]["keys"].append({"generation": 1, "sealed_key": b64(bytes(40))})

    with pytest.raises(StateMismatch, match="two different keys as version 1"):
        gather(VAULT, [page], since=5)


def endless(sample):
    """Return page after page, each a little further; there is always more."""
    (page,) = sample.old.sync()
    page |= {"items": [], "removed": [], "more": True, "revision": 1 << 52}
    page["vault"]["revision"] = 1 << 52
    return (page | {"through": n} for n in itertools.count(1))


def test_endless_sync_stops_at_page_limit(sample, monkeypatch):
    monkeypatch.setattr("vaultr.client.log.pages.PAGES_MOST", 20)

    with pytest.raises(AnswerInvalid, match="no end"):
        gather(VAULT, endless(sample), since=0)


def test_sync_stops_at_size_limit(sample, monkeypatch):
    monkeypatch.setattr("vaultr.client.log.pages.SEALED_BYTES_MOST", 1000)

    with pytest.raises(AnswerInvalid, match="no end"):
        gather(VAULT, sample.server.sync(limit=2), since=0)


def test_page_with_too_many_rows_is_invalid(sample, monkeypatch):
    monkeypatch.setattr("vaultr.client.log.pages.SYNC_LIMIT_MOST", 3)

    with pytest.raises(AnswerInvalid, match="more items"):
        gather(VAULT, sample.server.sync(), since=0)


def test_page_with_too_many_entries_is_invalid(sample, monkeypatch):
    monkeypatch.setattr("vaultr.client.log.pages.SYNC_LIMIT_MOST", 3)

    with pytest.raises(AnswerInvalid, match="more log entries"):
        gather(VAULT, sample.server.sync(5), since=5)


def test_endless_entries_are_limited_by_memory(sample, monkeypatch):
    monkeypatch.setattr("vaultr.client.log.pages.SEALED_BYTES_MOST", 3 * 1024)
    bare = ({**page, "items": [], "removed": []} for page in sample.server.sync(5, limit=2))

    with pytest.raises(AnswerInvalid, match="no end"):
        gather(VAULT, bare, since=5)


def test_unrequested_row_members_are_dropped(sample):
    pages = sample.server.sync()
    for row in pages[0]["items"]:
        row["junk"] = "j" * 1000

    rows = gather(VAULT, pages, since=0).rows

    assert rows
    assert all("junk" not in row.json for row in rows.values())
