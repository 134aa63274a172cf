"""Items: create, replace, show, list, trash, restore, remove."""

from uuid import UUID, uuid4

import pytest

from tests import factories
from tests.harness.vault_rows import assert_problem, reads, rows, unchanged
from tests.harness.vault_writer import Writer
from vaultr.protocol.encoding import unb64
from vaultr.vault.models import ENTRIES, ITEMS, REMOVED, VAULTS, VERSIONS

pytestmark = pytest.mark.both_databases


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def writes(app):
    return [e["obj"] for e in factories.events(app) if e["typ"] == "item.write"]


def test_created_item_is_returned_completely(app, as_ann, vault):
    request = vault.put_request(type="api_key")

    created = vault.send(request)

    assert created.status_code == 201
    assert created.headers["ETag"] == '"1"'
    (item_id,) = vault.state.items
    head = created.json["head"]
    assert created.json == {
        "id": str(item_id),
        "revision": 1,
        "content_revision": 1,
        "generation": 1,
        "state": "active",
        "head": head,
    }
    shown = as_ann.get(request.path)
    assert shown.headers["ETag"] == '"1"'
    whole = shown.json
    assert whole.pop("created_at") == whole.pop("updated_at")
    sealed = {name: request.body[name] for name in ("overview", "detail")}
    size = sum(len(unb64(part)) for part in sealed.values())
    assert whole == {
        "id": str(item_id),
        "type": "api_key",
        "state": "active",
        "revision": 1,
        "content_revision": 1,
        "generation": 1,
        "size": size,
        **sealed,
    }
    assert writes(app) == [{"kind": "vault", "id": str(vault.id), "from": 1, "to": 1, "head": head}]


def test_put_over_current_revision_replaces_item(app, as_ann, vault):
    item_id = vault.put()
    before = as_ann.get(f"{vault.path}/items/{item_id}").json

    response = vault.send(vault.put_request(item_id, "a longer secret than before" * 9))

    assert (response.status_code, response.headers["ETag"]) == (200, '"2"')
    after = as_ann.get(f"{vault.path}/items/{item_id}").json
    assert (after["revision"], after["content_revision"]) == (2, 2)
    assert after["created_at"] == before["created_at"] < after["updated_at"]
    shown = as_ann.get(vault.path).json
    assert (shown["counts"], shown["bytes"]) == ({"active": 1, "trash": 0}, after["size"])
    vault.full()


def test_read_of_known_revision_returns_304_without_event(app, as_ann, vault):
    item = factories.StoredItem(vault.id, vault.put(), 1)

    known = as_ann.get(item.path, headers={"If-None-Match": '"1"'})
    older = [as_ann.get(item.path, headers={"If-None-Match": tag}) for tag in ('"0"', '"zz"')]
    beyond = ['"001"', f'"{2**63}"', f'"{"9" * 64}"']
    older += [as_ann.get(item.path, headers={"If-None-Match": tag}) for tag in beyond]

    assert (known.status_code, known.data, known.headers["ETag"]) == (304, b"", '"1"')
    assert [response.status_code for response in older] == [200] * 5
    assert reads(app) == [[str(item.id)]] * 5
    weak = as_ann.get(item.path, headers={"If-None-Match": 'W/"1"'})
    assert (weak.status_code, weak.data) == (304, b"")
    for tag in ("*", '"1", "2"', "1", 'w/"1"'):
        assert_problem(as_ann.get(item.path, headers={"If-None-Match": tag}), 400, "bad-request")


def test_detail_read_is_recorded_before_response(app, as_ann, vault):
    item_id = vault.put()

    as_ann.get(f"{vault.path}/items/{item_id}")
    as_ann.head(f"{vault.path}/items/{item_id}")
    as_ann.get(f"{vault.path}/items")
    assert_problem(as_ann.get(f"{vault.path}/items/{uuid4()}"), 404, "item-not-found")

    events = [e for e in factories.events(app) if e["typ"] == "item.read"]
    assert [e["obj"] for e in events] == [
        {"kind": "vault", "id": str(vault.id), "items": [str(item_id)]}
    ] * 2
    assert {e["sub"] for e in events} == {str(as_ann.account_id)}


def test_item_can_be_trashed_and_restored(app, as_ann, vault):
    item_id = vault.put()
    trashed = vault.move("trash", item_id)
    counts = as_ann.get(vault.path).json["counts"]
    shown = as_ann.get(f"{vault.path}/items/{item_id}").json

    restored = vault.move("restore", item_id)

    assert (trashed["revision"], trashed["content_revision"], trashed["state"]) == (2, 1, "trash")
    assert counts == {"active": 0, "trash": 1}
    assert (shown["state"], shown["revision"], shown["content_revision"]) == ("trash", 2, 1)
    assert (restored["revision"], restored["state"]) == (3, "active")
    assert as_ann.get(vault.path).json["counts"] == {"active": 1, "trash": 0}
    vault.full()


@pytest.mark.parametrize("steps", [["remove"], ["trash", "remove"]])
def test_removing_item_deletes_its_versions(app, as_ann, vault, steps):
    item_id = vault.put()
    vault.put(item_id, "another")
    stored = vault.put()
    for step in steps:
        answer = vault.move(step, item_id)

    assert answer["state"] == "removed"
    assert_problem(as_ann.get(f"{vault.path}/items/{item_id}"), 404, "item-not-found")
    assert [row.item_id for row in rows(app, VERSIONS)] == [stored]
    assert [(row.item_id, row.revision) for row in rows(app, REMOVED)] == [
        (item_id, answer["revision"])
    ]
    (row,) = rows(app, VAULTS)
    assert row.item_bytes == row.version_bytes == sum(one.size for one in rows(app, ITEMS))
    assert (row.active, row.trash) == (1, 0)
    vault.full()


def test_delete_method_on_item_returns_405(app, as_ann, vault):
    item_id = vault.put()

    with unchanged(app):
        response = as_ann.delete(f"{vault.path}/items/{item_id}")

    assert_problem(response, 405, "method-not-allowed")
    assert "PUT" in response.headers["Allow"]


def test_list_filters_by_type_and_state_and_omits_detail(app, as_ann, vault):
    logins = {str(vault.put()) for _ in range(5)}
    note = str(vault.put(type="note"))
    trashed = str(vault.put())
    vault.move("trash", UUID(trashed))

    def ids(query=""):
        return [item["id"] for item in as_ann.get(f"{vault.path}/items{query}").json["items"]]

    assert ids() == sorted({*logins, note})
    assert ids("?type=login") == sorted(logins)
    assert ids("?state=trash") == [trashed]
    assert ids("?state=trash&type=note") == []
    first = as_ann.get(f"{vault.path}/items?type=login&limit=3").json
    rest = f"?type=login&limit=3&cursor={first['next_cursor']}"
    assert [item["id"] for item in first["items"]] + ids(rest) == sorted(logins)
    assert as_ann.get(f"{vault.path}/items{rest}").json["next_cursor"] is None
    whole = as_ann.get(f"{vault.path}/items/{note}").json
    del whole["detail"]
    assert as_ann.get(f"{vault.path}/items?type=note").json["items"] == [whole]
    assert reads(app) == [[note]]


def test_cursor_of_another_list_returns_400(as_ann, vault):
    for _ in range(3):
        vault.put()
    cursor = as_ann.get(f"{vault.path}/items?limit=1").json["next_cursor"]

    for query in ("state=trash&", "type=login&", ""):
        forged = cursor if query else cursor[:-2] + "AA"
        assert_problem(as_ann.get(f"{vault.path}/items?{query}cursor={forged}"), 400, "bad-request")


@pytest.mark.parametrize(
    "query", ["state=removed", "type=Login", "limit=0", "limit=201", "since=1", "limit=1&limit=2"]
)
def test_lists_reject_unknown_parameters(as_ann, vault, query):
    assert_problem(as_ann.get(f"{vault.path}/items?{query}"), 400, "bad-request")


def test_each_put_stores_a_version_and_fifty_remain(app, vault):
    item_id, other = uuid4(), vault.put()
    for number in range(52):
        vault.put(item_id, str(number))

    stored = sorted(row.revision for row in rows(app, VERSIONS, item_id=item_id))

    assert stored == list(range(4, 54))
    (row,) = rows(app, VAULTS)
    assert row.version_bytes == sum(one.size for one in rows(app, VERSIONS))
    assert len(rows(app, VERSIONS, item_id=other)) == 1


def test_rows_refer_to_their_audit_event(app, vault):
    item_id = vault.put()
    vault.put(item_id, "another")
    vault.move("trash", item_id)

    (first, second, third) = (e for e in factories.events(app) if e["typ"] == "item.write")
    named = [str(row.audit_event_id) for row in sorted(rows(app, ENTRIES), key=lambda row: row.n)]
    assert named == [first["eid"], second["eid"], third["eid"]]
    assert [str(row.audit_event_id) for row in rows(app, ITEMS)] == [third["eid"]]
    assert {str(row.audit_event_id) for row in rows(app, VERSIONS)} == {*named[:2]}


def test_same_item_id_can_exist_in_two_vaults(app, as_ann, as_bob, vault):
    item_id = vault.put()

    theirs = Writer(as_bob).create()
    theirs.put(item_id)
    theirs.move("remove", item_id)

    assert as_ann.get(f"{vault.path}/items/{item_id}").status_code == 200


def test_item_of_another_account_returns_404(app, as_ann):
    with app.app_context():
        theirs = factories.item(factories.vault("bob@example.org"))

    response = as_ann.get(theirs.path)

    assert_problem(response, 404, "vault-not-found")
    assert reads(app) == []
