"""Sync: deltas and full sets in pages, each a consistent snapshot."""

from uuid import uuid4

import pytest

from tests.harness.vault_rows import assert_problem, reads, unchanged
from tests.harness.vault_writer import Writer
from vaultr.protocol.encoding import b64
from vaultr.protocol.sizes import PAGE_BYTES
from vaultr.vault import responses

pytestmark = pytest.mark.both_databases


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def write_nine_revisions(vault):
    """Write 9 revisions, after which three items exist and one is removed."""
    first, second, third, fourth = (vault.put() for _ in range(4))
    vault.put(first, "changed")
    vault.move("trash", second)
    vault.move("remove", third)
    vault.send(vault.rename_request("another name"))
    vault.put(fourth, "changed too")
    return first, second, third, fourth


def ids(found):
    return [one["id"] for one in found]


def test_sync_of_new_vault_is_empty(as_ann, vault):
    response = as_ann.get(f"{vault.path}/sync")

    page = response.json
    assert page.pop("vault") == as_ann.get(vault.path).json
    assert page == {
        "items": [],
        "removed": [],
        "entries": [],
        "through": 0,
        "more": False,
        "revision": 0,
        "head": b64(vault.state.head),
        "head_entry": None,
    }
    assert response.headers["ETag"] == f'"{b64(vault.state.head)}"'
    known = {"If-None-Match": response.headers["ETag"]}
    assert as_ann.get(f"{vault.path}/sync", headers=known).status_code == 304


def test_full_sync_lists_items_and_removals_by_revision(app, as_ann, vault):
    first, second, third, fourth = write_nine_revisions(vault)

    page = as_ann.get(f"{vault.path}/sync").json

    assert ids(page["items"]) == [str(first), str(second), str(fourth)]
    assert [item["revision"] for item in page["items"]] == [5, 6, 9]
    assert page["removed"] == [{"id": str(third), "revision": 7}]
    assert page["entries"] == []
    assert (page["through"], page["revision"], page["more"]) == (9, 9, False)
    assert page["head_entry"]["n"] == 9
    assert page["head_entry"]["head"] == page["head"] == b64(vault.state.head)
    assert page["vault"] == as_ann.get(vault.path).json
    assert reads(app) == [ids(page["items"])]


def test_delta_has_new_entries_and_current_items(app, as_ann, vault):
    _first, second, third, fourth = write_nine_revisions(vault)

    page = as_ann.get(f"{vault.path}/sync?since=5").json

    assert [entry["n"] for entry in page["entries"]] == [6, 7, 8, 9]
    assert [entry["op"] for entry in page["entries"]] == ["trash", "remove", "rename", "put"]
    assert page["entries"][2]["item_id"] is None
    assert ids(page["items"]) == [str(second), str(fourth)]
    assert page["removed"] == [{"id": str(third), "revision": 7}]
    assert page["head_entry"] == page["entries"][-1]


def test_fast_responses_equal_those_of_the_models(as_ann, vault):
    first = write_nine_revisions(vault)[0]

    for query in ("", "?since=2", "?since=9", "?limit=1"):
        text = as_ann.get(f"{vault.path}/sync{query}").text
        assert _as_answered(responses.SyncView, text) == text
    text = as_ann.get(f"{vault.path}/items/{first}").text
    assert _as_answered(responses.ItemView, text) == text
    text = as_ann.get(f"{vault.path}/items").text
    assert _as_answered(responses.ItemList, text) == text


def _as_answered(model, text):
    return model.model_validate_json(text).model_dump_json()


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("since", [0, 1, 4, 8, 9])
@pytest.mark.matrix(6)
def test_pages_of_any_size_lead_to_the_same_items(app, vault, since, limit):
    whole, states = None, {0: vault.twin()}
    ids = [uuid4() for _ in range(4)]
    steps = [*(("put", one) for one in ids), ("put", ids[0]), ("trash", ids[1]), ("remove", ids[2])]
    for op, item_id in [*steps, ("restore", ids[1]), ("remove", ids[0])]:
        vault.put(item_id) if op == "put" else vault.move(op, item_id)
        states[vault.state.n] = vault.twin()
    whole = vault.full().state.items

    behind = states[since]
    pages = list(behind.pages(since=since, limit=limit))
    behind.sync(limit=limit)

    assert behind.state.items == whole
    assert behind.state.waypoint == vault.state.waypoint
    for page in pages:
        covered = len(page["entries"]) if since else len(page["items"]) + len(page["removed"])
        assert covered <= limit


def test_only_last_page_has_an_etag(as_ann, vault):
    write_nine_revisions(vault)

    first = as_ann.get(f"{vault.path}/sync?since=1&limit=3")
    last = as_ann.get(f"{vault.path}/sync?since=4&limit=5")

    assert (first.json["more"], first.json["through"]) == (True, 4)
    assert "ETag" not in first.headers
    assert (last.json["more"], last.headers["ETag"]) == (False, f'"{b64(vault.state.head)}"')


def test_unchanged_sync_is_304_and_not_recorded(app, as_ann, vault):
    write_nine_revisions(vault)
    tag = {"If-None-Match": f'"{b64(vault.state.head)}"'}

    known = as_ann.get(f"{vault.path}/sync?since=9", headers=tag)
    unrequested = as_ann.get(f"{vault.path}/sync?since=9")

    assert (known.status_code, known.data) == (304, b"")
    assert known.headers["ETag"] == tag["If-None-Match"]
    assert (unrequested.status_code, unrequested.headers["ETag"]) == (200, known.headers["ETag"])
    assert (unrequested.json["items"], unrequested.json["entries"]) == ([], [])
    assert unrequested.json["head_entry"]["n"] == 9
    assert reads(app) == []


def test_etag_counts_only_if_since_is_current_revision(as_ann, vault):
    write_nine_revisions(vault)
    tag = {"If-None-Match": f'"{b64(vault.state.head)}"'}
    other = {"If-None-Match": f'"{b64(bytes(32))}"'}

    for query, headers in (("", tag), ("?since=8", tag), ("?since=9", other)):
        assert as_ann.get(f"{vault.path}/sync{query}", headers=headers).status_code == 200
    assert_problem(
        as_ann.get(f"{vault.path}/sync", headers={"If-None-Match": "*"}), 400, "bad-request"
    )


@pytest.mark.parametrize(
    "query", ["since=10", "after=10", "since=0&after=99", f"since={2**53 - 1}"]
)
def test_sync_beyond_current_revision_returns_head_moved(app, as_ann, vault, query):
    write_nine_revisions(vault)

    with unchanged(app):
        plain = assert_problem(as_ann.get(f"{vault.path}/sync?{query}"), 409, "head-moved")
        headers = {"If-None-Match": f'"{b64(vault.state.head)}"'}
        tagged = as_ann.get(f"{vault.path}/sync?{query}", headers=headers)

    assert (plain["revision"], plain["head"]) == (9, b64(vault.state.head))
    assert_problem(tagged, 409, "head-moved")
    assert reads(app) == []


@pytest.mark.parametrize(
    "query",
    ["since=1&after=1", "since=-1", "since=x", "since=1.0", "limit=0", "limit=1001", "cursor=x",
     "since=", f"since={2**63}", "since=1&since=1"],
)  # fmt: skip
def test_sync_rejects_unknown_parameters(as_ann, vault, query):
    write_nine_revisions(vault)

    assert_problem(as_ann.get(f"{vault.path}/sync?{query}"), 400, "bad-request")


def test_sync_page_ends_at_four_mebibytes(app, vault):
    behind = vault.twin()
    steps = [("put", uuid4(), "x" * 21_000) for _ in range(230)]
    vault.send(vault.batch_request(*steps[:115]))
    vault.send(vault.batch_request(*steps[115:]))

    pages = list(vault.pages())
    deltas = list(vault.pages(since=1))
    behind.sync()

    for found in (pages, deltas):
        sizes = [sum(item["size"] for item in page["items"]) for page in found]
        assert len(sizes) > 1
        assert max(sizes) <= PAGE_BYTES
        assert sizes[0] + found[1]["items"][0]["size"] > PAGE_BYTES
    assert behind.state.items == vault.state.items


def test_each_read_event_has_at_most_500_ids(app, as_ann, vault):
    vault.send(vault.batch_request(*(("put", uuid4()) for _ in range(600))))

    page = as_ann.get(f"{vault.path}/sync?limit=1000").json

    assert reads(app) == [ids(page["items"])[:500], ids(page["items"])[500:]]
