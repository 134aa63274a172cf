"""The errors of writes to one item, in the documented order; rejected writes change nothing."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.harness.vault_rows import assert_problem, change, everything, unchanged
from tests.harness.vault_writer import Writer
from vaultr import clock
from vaultr.protocol.encoding import b64
from vaultr.protocol.sealed import OVERHEAD
from vaultr.vault import log_entries
from vaultr.vault.models import VAULTS

NO_HEAD = b64(bytes(32))
BEYOND = {"n": 99}


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


@pytest.fixture
def item_id(vault):
    return vault.put()


@pytest.mark.parametrize(
    ("override", "status", "slug"),
    [
        ({"headers": {}}, 428, "precondition-required"),
        ({"headers": {"If-Match": '"9"'}}, 412, "precondition-failed"),
        ({"headers": {"If-None-Match": "*"}}, 412, "precondition-failed"),
        ({"headers": {"If-Match": "*"}}, 400, "bad-request"),
        ({"headers": {"If-Match": 'W/"1"'}}, 400, "bad-request"),
        ({"headers": {"If-Match": '"1", "2"'}}, 400, "bad-request"),
        ({"headers": {"If-Match": '"1"', "If-None-Match": "*"}}, 400, "bad-request"),
        ({"content_revision": 1}, 422, "unprocessable"),
        ({"generation": 2}, 422, "unprocessable"),
        ({"entry": {"prev": NO_HEAD}}, 409, "head-moved"),
        ({"entry": {"n": 3}, "content_revision": 3}, 409, "head-moved"),
        ({"entry": {"n": 1}, "content_revision": 1}, 409, "head-moved"),
        ({"entry": {"n": 0}}, 400, "bad-request"),
        ({"entry": {"vouch": "AAAA"}}, 400, "bad-request"),
        ({"type": "Login"}, 400, "bad-request"),
        ({"type": "l" * 33}, 400, "bad-request"),
        ({"title": "my bank"}, 400, "bad-request"),
        ({"overview": 7}, 400, "bad-request"),
    ],
)
def test_invalid_put_returns_its_own_problem(app, vault, item_id, override, status, slug):
    request = vault.put_request(item_id, "changed").but(**override)

    with unchanged(app):
        assert_problem(vault.ask(request), status, slug)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AQ",
        "hunter2",
        "two words",
        "Ab==",
        b64(b"\x01" + bytes(OVERHEAD + 63)),
        b64(b"\x02" + bytes([255]) * (OVERHEAD + 63)),
        b64(b"\x01" + bytes([255]) * (OVERHEAD + 62)),
        b64(b"\x01" + bytes([255]) * (OVERHEAD + 64)),
        b64(b"the password is hunter2, and this text is long enough to be one" * 3),
    ],
)
@pytest.mark.parametrize("part", ["overview", "detail"])
def test_value_that_is_not_sealed_is_rejected(app, vault, part, text):
    request = vault.put_request().but(**{part: text})

    with unchanged(app):
        problem = assert_problem(vault.ask(request), 422, "not-sealed")

    assert [fault["pointer"] for fault in problem["errors"]] == [f"/{part}"]
    assert not text or text not in str(problem)


def test_stale_precondition_returns_the_current_revision(app, vault, item_id):
    stale = vault.put_request(item_id, "mine")
    vault.put(item_id, "of another device")

    with unchanged(app):
        response = vault.ask(stale)

    assert assert_problem(response, 412, "precondition-failed")["revision"] == 2
    assert response.headers["ETag"] == '"2"'
    assert "errors" not in response.json


def test_head_moved_problem_contains_the_current_head(app, vault, item_id):
    late = vault.put_request()
    vault.put()

    with unchanged(app):
        problem = assert_problem(vault.ask(late), 409, "head-moved")

    assert problem["revision"] == 2
    assert problem["head"] == b64(vault.state.head)


def test_oversized_item_is_rejected_and_maximum_size_stored(app, vault, set_to):
    request = vault.put_request(text="x" * 4000)
    parts = vault.sealed_put(UUID(request.path[-36:]), "x" * 4000)
    size = len(parts.overview) + len(parts.detail)

    set_to(app, quota_item_bytes=size - 1)
    with unchanged(app):
        assert_problem(vault.ask(request), 413, "item-too-large")
    set_to(app, quota_item_bytes=size)
    assert vault.send(request).status_code == 201


@pytest.mark.parametrize("op", ["trash", "restore", "remove"])
@pytest.mark.parametrize(
    ("override", "status", "slug"),
    [
        ({"headers": {}}, 428, "precondition-required"),
        ({"headers": {"If-Match": '"9"'}}, 412, "precondition-failed"),
        ({"headers": {"If-None-Match": "*"}}, 412, "precondition-failed"),
        ({"entry": {"prev": NO_HEAD}}, 409, "head-moved"),
        ({"entry": BEYOND}, 409, "head-moved"),
        ({"type": "login"}, 400, "bad-request"),
    ],
)
def test_invalid_move_returns_its_own_problem(app, vault, item_id, op, override, status, slug):
    if op == "restore":
        vault.move("trash", item_id)
    request = vault.move_request(op, item_id).but(**override)

    with unchanged(app):
        assert_problem(vault.ask(request), status, slug)


def test_trashed_item_cannot_be_put_or_trashed(app, vault, item_id):
    put, trash = vault.put_request(item_id), vault.move_request("trash", item_id)
    trash = trash.but(entry={"mac": NO_HEAD})  # or it would replay the accepted write
    vault.move("trash", item_id)
    now = {"headers": {"If-Match": '"2"'}}

    with unchanged(app):
        for request in (put, trash):
            assert_problem(vault.ask(request.but(**now)), 409, "in-trash")
            assert_problem(vault.ask(request), 412, "precondition-failed")
        assert_problem(
            vault.ask(put.but(headers={"If-None-Match": "*"})), 412, "precondition-failed"
        )


def test_active_item_cannot_be_restored(app, vault, item_id):
    request = vault.move_request("trash", item_id)
    request.path = request.path.replace("/trash", "/restore")

    with unchanged(app):
        assert_problem(vault.ask(request), 409, "conflict")


def test_removed_item_id_cannot_be_reused(app, vault, item_id):
    again, over = vault.put_request(item_id), vault.put_request(item_id)
    trash = vault.move_request("trash", item_id)
    vault.move("remove", item_id)

    with unchanged(app):
        assert_problem(vault.ask(again.but(headers={"If-None-Match": "*"})), 409, "conflict")
        assert_problem(vault.ask(over), 404, "item-not-found")
        assert_problem(vault.ask(trash), 404, "item-not-found")


def test_missing_item_returns_404(app, vault, item_id):
    elsewhere = vault.path + f"/items/{uuid4()}"
    put = vault.put_request(item_id)
    put.path = elsewhere
    moves = [vault.move_request(op, item_id) for op in ("trash", "remove")]

    with unchanged(app):
        assert_problem(vault.ask(put), 404, "item-not-found")
        for move in moves:
            move.path = elsewhere + move.path[move.path.rindex("/") :]
            assert_problem(vault.ask(move), 404, "item-not-found")
            assert_problem(vault.ask(move.but(headers={})), 404, "item-not-found")


def test_put_with_nil_id_is_rejected(app, vault):
    with unchanged(app):
        assert_problem(vault.ask(vault.put_request(UUID(int=0))), 422, "unprocessable")


def test_old_generation_is_reported_before_stale_precondition(app, vault, item_id):
    change(app, VAULTS, generation=2)
    put, rename = vault.put_request(item_id), vault.rename_request("x")

    with unchanged(app):
        problem = assert_problem(
            vault.ask(put.but(headers={"If-Match": '"9"'})), 409, "generation-moved"
        )
        assert_problem(vault.ask(rename), 409, "generation-moved")

    assert problem["generation"] == 2


def test_errors_are_checked_in_the_documented_order(app, vault, item_id, set_to):
    """Each request has the mistakes of all later ones; they are corrected one by one."""
    set_to(app, quota_vault_bytes=1024)
    worst = vault.put_request(item_id, "x" * 2000).but(headers={}, overview="plain", entry=BEYOND)
    better = worst.but(content_revision=99)
    sealed = better.but(overview=vault.put_request().body["overview"])
    stale = sealed.but(headers={"If-Match": '"7"'})
    moved = stale.but(headers={"If-Match": '"1"'})
    full = vault.put_request(item_id, "x" * 2000)

    with unchanged(app):
        assert_problem(vault.ask(worst), 422, "unprocessable")
        assert_problem(vault.ask(better), 422, "not-sealed")
        set_to(app, quota_item_bytes=1024)
        assert_problem(vault.ask(sealed), 413, "item-too-large")
        set_to(app, quota_item_bytes=65_536)
        assert_problem(vault.ask(sealed), 428, "precondition-required")
        assert_problem(vault.ask(stale), 412, "precondition-failed")
        assert_problem(vault.ask(moved), 409, "head-moved")
        assert_problem(vault.ask(full), 409, "quota-exceeded")


def test_vault_item_quota_includes_trash(app, vault, item_id, set_to):
    set_to(app, quota_items=2)
    vault.move("trash", vault.put())

    with unchanged(app):
        assert_problem(vault.ask(vault.put_request()), 409, "quota-exceeded")
    vault.put(item_id, "replacing still works")
    vault.move("remove", item_id)
    vault.put()


def test_vault_bytes_are_limited_by_quota(app, vault, item_id, set_to):
    (row,) = everything(app)[0]["items"]
    set_to(app, quota_vault_bytes=290 + 290)
    assert 290 in row
    vault.put()

    with unchanged(app):
        assert_problem(vault.ask(vault.put_request()), 409, "quota-exceeded")
        assert_problem(vault.ask(vault.put_request(item_id, "x" * 100)), 409, "quota-exceeded")
    set_to(app, quota_vault_bytes=1024 // 4)
    vault.put(item_id, "no larger than it was")


def test_put_with_invalid_size_type_or_length_is_rejected(app, as_ann, vault):
    request = vault.put_request()
    headers = request.headers

    with unchanged(app):
        too_much = b'{"detail": "' + b"A" * 2**20 + b'"}'
        json = {"content_type": "application/json"}
        assert_problem(
            as_ann.put(request.path, data=too_much, headers=headers, **json),
            413,
            "payload-too-large",
        )
        assert_problem(
            as_ann.put(request.path, data="{}", headers=headers), 415, "unsupported-media-type"
        )
        assert_problem(
            as_ann.put(request.path, data="[]", headers=headers, **json), 400, "bad-request"
        )
        assert_problem(as_ann.put(request.path, headers=headers), 411, "length-required")


def test_vault_changes_over_daily_limit_return_429(app, vault, set_to):
    set_to(app, limit_changes="3/86400")
    vault.put()
    vault.put()
    vault.put()

    with unchanged(app):
        response = vault.ask(vault.put_request())

    assert_problem(response, 429, "rate-limited")
    assert int(response.headers["Retry-After"]) > 60
    Writer(vault.client).create().put()


def test_change_limit_applies_to_every_kind_of_write(app, vault, set_to):
    vault.put()
    vault.put()
    set_to(app, limit_changes="3/86400")
    writes = [
        vault.batch_request(("put", uuid4()), ("put", uuid4())),
        vault.batch_request(*[("put", uuid4()) for _ in range(4)]),
    ]

    with unchanged(app):
        answers = [vault.ask(write) for write in writes]
    renamed = vault.send(vault.rename_request("another"))
    set_to(app, limit_changes="2/86400")
    with unchanged(app):
        answers.append(vault.ask(vault.repair_request()))

    assert [one.status_code for one in answers] == [429] * 3
    assert renamed.status_code == 200


def test_changes_are_allowed_again_when_older_ones_leave_the_window(
    app, vault, set_to, monkeypatch
):
    set_to(app, limit_changes="1/60")
    vault.put()
    later = clock.now() + timedelta(seconds=61)
    monkeypatch.setattr(log_entries.clock, "now", lambda: later)

    response = vault.ask(vault.put_request())

    assert response.status_code == 201
