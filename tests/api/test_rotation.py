"""A key rotation of a vault: begin, ordinary writes, finish."""

from uuid import uuid4

import pytest

from tests import factories
from tests.harness.vault_rows import assert_problem, rows, unchanged
from tests.harness.vault_writer import Writer
from vaultr.vault.models import ENTRIES, ITEMS, VERSIONS

pytestmark = pytest.mark.both_databases


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def left(vault):
    return vault.client.get(f"{vault.path}/rotation").json


def test_rotation_finishes_after_active_items_are_resealed(app, vault):
    active, trashed = [vault.put() for _ in range(3)], vault.put()
    vault.move("trash", trashed)
    assert left(vault) == {
        "rotating": False,
        "generation": 1,
        "left": {"items": 0, "overview": False},
    }

    begun = vault.done(vault.rotation_request())
    reported = left(vault)
    vault.done(vault.rename_request("a vault"))
    vault.done(vault.batch_request(*(("put", one) for one in active)))
    moved = left(vault)
    finished = vault.done(vault.finish_request())

    assert (begun.json["generation"], begun.json["rotating"]) == (2, True)
    assert begun.headers["ETag"] == '"6"'
    assert [key["generation"] for key in begun.json["keys"]] == [1, 2]
    assert reported == {"rotating": True, "generation": 2, "left": {"items": 3, "overview": True}}
    assert moved == {"rotating": True, "generation": 2, "left": {"items": 0, "overview": False}}
    assert (finished.json["generation"], finished.json["rotating"]) == (2, False)
    held = {row.id: row.generation for row in rows(app, ITEMS)}
    assert held == {**dict.fromkeys(active, 2), trashed: 1}
    assert {row.generation for row in rows(app, VERSIONS)} == {1, 2}
    assert vault.full().state.items == vault.state.items
    assert [row.op for row in rows(app, ENTRIES) if row.item_id is None] == [
        "rotate-begin",
        "rename",
        "rotate-end",
    ]


def test_rotation_steps_are_recorded_with_new_head(app, vault):
    begun = vault.done(vault.rotation_request())
    vault.done(vault.rename_request("a vault"))
    finished = vault.done(vault.finish_request())

    events = {e["typ"]: e["obj"] for e in factories.events(app) if "rotate" in e["typ"]}
    vault_id = {"kind": "vault", "id": str(vault.id), "generation": 2}
    assert events == {
        "vault.rotate.begin": {**vault_id, "from": 1, "to": 1, "head": begun.json["head"]},
        "vault.rotate.end": {**vault_id, "from": 3, "to": 3, "head": finished.json["head"]},
    }


def test_device_syncs_after_rotation_with_new_keys(app, vault):
    for _ in range(3):
        vault.put()
    device = vault.twin()

    vault.rotate()
    device.keys = vault.keys
    device.sync(limit=2)

    assert device.state.waypoint == vault.state.waypoint
    assert device.state.items == vault.state.items


def test_value_under_old_keys_is_rejected_during_rotation(app, vault):
    item_id = vault.put()
    stale = vault.twin()
    requests = [
        stale.put_request(),
        stale.put_request(item_id, "changed"),
        stale.rename_request("other"),
        stale.batch_request(("put", uuid4()), ("put", item_id)),
    ]
    vault.done(vault.rotation_request())

    with unchanged(app):
        problems = [assert_problem(stale.ask(one), 409, "generation-moved") for one in requests]

    assert [problem["generation"] for problem in problems] == [2] * 4
    assert problems[-1]["errors"][0]["pointer"] == "/changes/0"
    assert vault.client.get(f"{vault.path}/items/{item_id}").json["generation"] == 1


def test_item_under_old_keys_can_be_trashed_and_removed(app, vault):
    first, second = vault.put(), vault.put()
    vault.done(vault.rotation_request())

    vault.move("trash", first)
    vault.move("remove", second)

    assert left(vault)["left"] == {"items": 0, "overview": True}
    vault.full()


def test_restore_under_old_keys_requires_put_in_same_batch(app, vault):
    item_id = vault.put()
    vault.move("trash", item_id)
    vault.rotate()

    with unchanged(app):
        alone = assert_problem(
            vault.ask(vault.move_request("restore", item_id)), 409, "generation-moved"
        )
        request = vault.batch_request(("put", uuid4()), ("restore", item_id))
        last = assert_problem(vault.ask(request), 409, "generation-moved")
    assert (alone["generation"], last["generation"]) == (2, 2)
    assert last["errors"][0]["pointer"] == "/changes/1"

    vault.done(vault.batch_request(("restore", item_id), ("put", item_id, "moved")))
    assert vault.client.get(f"{vault.path}/items/{item_id}").json["generation"] == 2
    vault.move("trash", item_id)
    vault.move("restore", item_id)
    vault.full()


def test_finish_is_rejected_while_items_have_old_keys(app, vault):
    items = [vault.put() for _ in range(2)]
    vault.done(vault.rotation_request())
    vault.put(items[0])

    with unchanged(app):
        problem = assert_problem(vault.ask(vault.finish_request()), 409, "rotation-incomplete")
    assert problem["left"] == {"items": 1, "overview": True}

    vault.put(items[1])
    with unchanged(app):
        problem = assert_problem(vault.ask(vault.finish_request()), 409, "rotation-incomplete")
    assert problem["left"] == {"items": 0, "overview": True}
    vault.done(vault.rename_request("a vault"))
    vault.done(vault.finish_request())


def test_finishing_without_rotation_is_rejected(app, vault):
    with unchanged(app):
        assert_problem(vault.ask(vault.finish_request()), 409, "conflict")
    vault.rotate()
    with unchanged(app):
        assert_problem(vault.ask(vault.finish_request()), 409, "conflict")


def test_rotation_can_begin_during_another_rotation(app, vault):
    items = [vault.put() for _ in range(3)]
    vault.done(vault.rotation_request())
    vault.put(items[0])

    vault.done(vault.rotation_request())

    assert left(vault) == {
        "rotating": True,
        "generation": 3,
        "left": {"items": 3, "overview": True},
    }
    for item_id in items:
        vault.put(item_id)
    vault.done(vault.rename_request("a vault"))
    shown = vault.done(vault.finish_request()).json
    assert [key["generation"] for key in shown["keys"]] == [1, 2, 3]
    assert {row.generation for row in rows(app, ITEMS)} == {3}
    vault.full()


def test_repeated_rotation_step_returns_first_response(app, vault):
    item_id = vault.put()
    steps = []
    for prepare in (
        vault.rotation_request,
        lambda: vault.rename_request("a vault"),
        lambda: vault.put_request(item_id),
        vault.finish_request,
        vault.repair_request,
    ):
        request = prepare()
        first = vault.send(request)
        with unchanged(app):
            assert json_and_etag(vault.ask(request)) == json_and_etag(first)
        steps.append((request, first))

    with unchanged(app):
        begun, first = steps[0]
        again = vault.ask(begun).json
        later = {"overview", "overview_revision", "overview_generation", "bytes"}
        assert {name: again[name] for name in again.keys() - later} == {
            name: first.json[name] for name in again.keys() - later
        }


def json_and_etag(response):
    assert response.status_code == 200, response.json
    return response.json, response.headers["ETag"]
