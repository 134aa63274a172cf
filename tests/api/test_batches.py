"""Batches: all changes in order, or none."""

from uuid import UUID, uuid4

import pytest

from tests import factories
from tests.harness.vault_rows import assert_problem, rows, unchanged
from tests.harness.vault_writer import Writer
from vaultr.protocol.encoding import b64
from vaultr.vault.models import ITEMS, REMOVED, VAULTS, VERSIONS


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def test_batch_uses_one_revision_per_change(app, vault):
    old, new, gone, brief = vault.put(), uuid4(), vault.put(), uuid4()
    vault.move("trash", gone)

    request = vault.batch_request(
        ("put", new, "first"),
        ("put", old, "changed"),
        ("put", new, "second"),
        ("trash", new),
        ("restore", gone),
        ("put", gone, "back"),
        ("put", brief),
        ("remove", brief),
        ("remove", old),
        ("restore", new),
        ("put", new, "third"),
        ("trash", new),
    )
    response = vault.send(request)

    assert response.status_code == 200
    ids = [change["item_id"] for change in request.body["changes"]]
    revisions = list(range(4, 16))
    assert response.json == {
        "results": [
            {"item_id": item_id, "revision": n} for item_id, n in zip(ids, revisions, strict=True)
        ],
        "revision": 15,
        "head": b64(vault.state.head),
    }
    held = {row.id: (row.revision, row.content_revision, row.state) for row in rows(app, ITEMS)}
    assert held == {new: (15, 14, "trash"), gone: (9, 9, "active")}
    assert {(row.item_id, row.revision) for row in rows(app, REMOVED)} == {(brief, 11), (old, 12)}
    assert sorted(row.revision for row in rows(app, VERSIONS)) == [2, 4, 6, 9, 14]
    _counters_are_true(app)
    vault.full()


def _counters_are_true(app):
    (vault,), items = rows(app, VAULTS), rows(app, ITEMS)
    assert vault.active == sum(item.state == "active" for item in items)
    assert vault.trash == sum(item.state == "trash" for item in items)
    assert vault.item_bytes == sum(item.size for item in items)
    assert vault.version_bytes == sum(version.size for version in rows(app, VERSIONS))


def test_batch_records_one_event(app, vault):
    response = vault.send(vault.batch_request(*(("put", uuid4()) for _ in range(5))))

    events = [event["obj"] for event in factories.events(app) if event["typ"] == "item.write"]
    head = response.json["head"]
    assert events == [{"kind": "vault", "id": str(vault.id), "from": 1, "to": 5, "head": head}]


def test_batch_and_single_writes_store_equal_rows(app, as_ann):
    one, many = Writer(as_ann).create(), Writer(as_ann).create()
    ids = [uuid4() for _ in range(3)]
    steps = [("put", one_id) for one_id in ids]
    steps += [("put", ids[0]), ("trash", ids[1]), ("remove", ids[2]), ("restore", ids[1])]

    for op, item_id in steps:
        one.put(item_id) if op == "put" else one.move(op, item_id)
    many.send(many.batch_request(*steps))

    def stored(table, of, *names):
        found = [
            tuple(row._mapping[name] for name in names) for row in rows(app, table, vault_id=of.id)
        ]
        return sorted(found, key=repr)

    for names in (
        (ITEMS, "id", "revision", "content_revision", "state", "size", "puts", "type"),
        (VERSIONS, "item_id", "revision", "size", "type", "generation"),
        (REMOVED, "item_id", "revision"),
    ):
        assert stored(names[0], one, *names[1:]) == stored(names[0], many, *names[1:])


def test_batch_keeps_fifty_newest_versions_of_an_item(app, vault):
    item_id = vault.put()

    vault.send(vault.batch_request(*(("put", item_id, str(n)) for n in range(60))))

    stored = sorted(row.revision for row in rows(app, VERSIONS))
    assert stored == list(range(12, 62))
    _counters_are_true(app)


@pytest.mark.parametrize(
    ("override", "status", "slug"),
    [
        ({"if_match": 9}, 412, "precondition-failed"),
        ({"item_id": str(uuid4())}, 404, "item-not-found"),
        ({"op": "restore"}, 409, "conflict"),
        ({"entry": {"prev": b64(bytes(32))}}, 409, "head-moved"),
        ({"entry": {"n": 9}}, 409, "head-moved"),
    ],
)
def test_invalid_change_rolls_back_batch_and_is_reported(app, vault, override, status, slug):
    item_id = vault.put()
    request = vault.batch_request(("put", uuid4()), ("trash", item_id), ("put", uuid4()))
    bad = request.body["changes"][1]
    bad |= override | {"entry": bad["entry"] | override.get("entry", {})}

    with unchanged(app):
        problem = assert_problem(vault.ask(request), status, slug)

    assert [fault["pointer"] for fault in problem["errors"]] == ["/changes/1"]
    if slug == "head-moved":
        assert (problem["revision"], problem["head"]) == (1, b64(vault.state.head))


@pytest.mark.parametrize(
    ("first", "status", "slug"),
    [
        ({"item_id": str(uuid4())}, 404, "item-not-found"),
        ({"item_id": str(uuid4()), "overview": "plain"}, 404, "item-not-found"),
        ({"if_match": 9}, 412, "precondition-failed"),
        ({"entry": {"n": 9}, "content_revision": 9}, 409, "head-moved"),
    ],
)
def test_batch_reports_its_first_invalid_change(app, vault, first, status, slug):
    request = vault.batch_request(("put", vault.put()), ("put", uuid4()))
    bad, later = request.body["changes"]
    bad |= first | {"entry": bad["entry"] | first.get("entry", {})}
    later |= {"overview": "plain"}

    with unchanged(app):
        problem = assert_problem(vault.ask(request), status, slug)

    assert [fault["pointer"] for fault in problem["errors"]] == ["/changes/0"]


@pytest.mark.parametrize(
    ("override", "status", "slug", "at"),
    [
        ({"overview": "plain"}, 422, "not-sealed", "/overview"),
        ({"detail": ""}, 422, "not-sealed", "/detail"),
        ({"content_revision": 7}, 422, "unprocessable", "/content_revision"),
        ({"generation": 2}, 422, "unprocessable", "/generation"),
        ({"item_id": str(UUID(int=0))}, 422, "unprocessable", "/item_id"),
        ({"if_none_match": None}, 400, "bad-request", "/if_none_match"),
        ({"op": "rename"}, 400, "bad-request", "/op"),
        ({"op": "trash"}, 400, "bad-request", ""),
        ({"type": None}, 400, "bad-request", "/type"),
        ({"if_match": 1}, 400, "bad-request", ""),
        ({"extra": 1}, 400, "bad-request", "/extra"),
    ],
)
def test_one_invalid_body_rejects_the_whole_batch(app, vault, override, status, slug, at):
    request = vault.batch_request(("put", uuid4()), ("put", uuid4()))
    request.body["changes"][1] |= override

    with unchanged(app):
        problem = assert_problem(vault.ask(request), status, slug)

    assert [fault["pointer"] for fault in problem["errors"]] == [f"/changes/1{at}"]


def test_change_without_precondition_is_rejected(app, vault):
    request = vault.batch_request(("put", uuid4()), ("put", uuid4()))
    del request.body["changes"][1]["if_none_match"]

    with unchanged(app):
        problem = assert_problem(vault.ask(request), 428, "precondition-required")

    assert [fault["pointer"] for fault in problem["errors"]] == ["/changes/1"]


def test_item_quota_applies_within_a_batch(app, vault, set_to):
    set_to(app, quota_items=3)
    stored = vault.put()

    with unchanged(app):
        too_many = vault.batch_request(*(("put", uuid4()) for _ in range(3)))
        problem = assert_problem(vault.ask(too_many), 409, "quota-exceeded")
    assert problem["errors"][0]["pointer"] == "/changes/2"
    vault.send(vault.batch_request(("remove", stored), *(("put", uuid4()) for _ in range(3))))
    assert vault.state.n == 5


def test_batch_accepts_one_to_a_thousand_changes(app, vault, set_to):
    set_to(app, limit_writes="100/60")
    steps = [("put", uuid4()) for _ in range(1001)]
    request = vault.batch_request(*steps[:1000])

    with unchanged(app):
        assert_problem(vault.ask(vault.batch_request(*steps)), 400, "bad-request")
        assert_problem(vault.ask(request.but(changes=[])), 400, "bad-request")
    assert vault.send(request).status_code == 200

    assert len(vault.full().state.items) == 1000
    with_more = vault.client.get(f"{vault.path}/sync?limit=1000").json
    assert (len(with_more["items"]), with_more["more"]) == (1000, False)


def test_batch_counts_as_one_write_per_hundred_changes(app, vault, set_to):
    set_to(app, limit_writes="3/60")
    request = vault.batch_request(*(("put", uuid4()) for _ in range(201)))

    assert vault.send(request).status_code == 429
    set_to(app, limit_writes="9/60")
    assert vault.send(request).status_code == 200


def test_batch_size_limit_is_sixteen_mebibytes(app, vault):
    request = vault.batch_request(*(("put", uuid4(), "x" * 20_000) for _ in range(250)))

    status = vault.send(request).status_code

    assert status == 200
    with unchanged(app):
        data = b'{"changes": []' + b" " * 2**24 + b"}"
        sent = vault.client.post(request.path, data=data, content_type="application/json")
    assert_problem(sent, 413, "payload-too-large")
