"""Earlier contents of an item: its last puts, each with the entry that proves it."""

import hashlib
from uuid import uuid4

import pytest

from tests import factories
from tests.harness.vault_rows import assert_problem, reads, rows
from tests.harness.vault_writer import Writer
from vaultr.protocol.encoding import unb64
from vaultr.protocol.entries import content_of_hashes
from vaultr.vault.models import ENTRIES

pytestmark = pytest.mark.both_databases
SUMMARY = {"revision", "type", "generation", "size", "created_at", "overview", "entry"}


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def versions(vault, item_id, **query):
    return vault.client.get(f"{vault.path}/items/{item_id}/versions", query_string=query)


def version(vault, item_id, revision):
    return vault.client.get(f"{vault.path}/items/{item_id}/versions/{revision}")


def test_versions_are_listed_newest_first_without_detail(app, vault):
    item_id = vault.put(text="first")
    vault.put()
    vault.put(item_id, "second", type="note")
    vault.move("trash", item_id)
    vault.move("restore", item_id)
    vault.put(item_id, "third")

    listed = versions(vault, item_id).json

    assert listed["next_cursor"] is None
    assert [one["revision"] for one in listed["versions"]] == [6, 3, 1]
    assert [one["type"] for one in listed["versions"]] == ["login", "note", "login"]
    assert all(one.keys() == SUMMARY for one in listed["versions"])
    assert reads(app) == []


def test_version_includes_the_entry_that_commits_to_it(app, vault):
    item_id = vault.put(text="first")
    whole = vault.client.get(f"{vault.path}/items/{item_id}").json
    vault.put(item_id, "second")

    shown = version(vault, item_id, 1).json

    assert shown.keys() == SUMMARY | {"detail"}
    assert (shown["overview"], shown["detail"]) == (whole["overview"], whole["detail"])
    hashes = [hashlib.sha256(unb64(shown[part])).digest() for part in ("overview", "detail")]
    content = content_of_hashes(shown["type"], shown["generation"], *hashes)
    entry = shown["entry"]
    assert (entry["n"], entry["op"], entry["item_id"]) == (1, "put", str(item_id))
    assert unb64(entry["content"]) == content
    (row,) = rows(app, ENTRIES, n=1)
    assert unb64(entry["mac"]) == row.mac


def test_version_read_is_recorded_and_list_is_not(app, vault):
    item_id = vault.put()
    vault.put(item_id, "second")

    versions(vault, item_id)
    version(vault, item_id, 1)

    (events,) = [event["obj"] for event in factories.events(app) if event["typ"] == "item.read"]
    about = {"kind": "vault", "id": str(vault.id), "items": [str(item_id)], "revision": 1}
    assert events == about


def test_versions_are_listed_in_pages(app, vault):
    item_id = vault.put()
    for n in range(4):
        vault.put(item_id, str(n))

    seen, cursor = [], None
    while True:
        page = versions(vault, item_id, limit=2, **({"cursor": cursor} if cursor else {})).json
        seen.append([one["revision"] for one in page["versions"]])
        if (cursor := page["next_cursor"]) is None:
            break

    assert seen == [[5, 4], [3, 2], [1]]
    other = vault.put()
    first = versions(vault, item_id, limit=2).json["next_cursor"]
    assert_problem(versions(vault, other, cursor=first), 400, "bad-request")


def test_versions_of_old_generations_stay(app, vault):
    item_id = vault.put(text="first")
    vault.rotate()

    listed = versions(vault, item_id).json["versions"]

    assert [one["generation"] for one in listed] == [2, 1]
    assert version(vault, item_id, listed[1]["revision"]).json["entry"]["generation"] == 1


def test_trashed_item_keeps_versions_and_removed_one_has_none(app, vault):
    item_id = vault.put()
    vault.put(item_id, "second")

    vault.move("trash", item_id)
    assert len(versions(vault, item_id).json["versions"]) == 2
    vault.move("remove", item_id)

    assert_problem(versions(vault, item_id), 404, "item-not-found")
    assert_problem(version(vault, item_id, 1), 404, "item-not-found")


def test_missing_version_is_404_without_event(app, vault, as_bob):
    item_id = vault.put()
    theirs = vault.twin(as_bob)

    assert_problem(version(vault, item_id, 2), 404, "not-found")
    assert_problem(version(vault, uuid4(), 1), 404, "item-not-found")
    assert_problem(versions(vault, uuid4()), 404, "item-not-found")
    assert_problem(version(theirs, item_id, 1), 404, "vault-not-found")
    assert_problem(versions(theirs, item_id), 404, "vault-not-found")
    for form in ("0", "01", "-1", "1.0", "x", "99999999999999999", "9999999999999999", "%31 "):
        assert_problem(version(vault, item_id, form), 404, "not-found")
    assert reads(app) == []


def test_put_of_earlier_content_adds_a_version(app, vault):
    item_id = vault.put(text="first")
    vault.put(item_id, "second")

    vault.put(item_id, "first")

    assert [one["revision"] for one in versions(vault, item_id).json["versions"]] == [3, 2, 1]
    vault.full()
