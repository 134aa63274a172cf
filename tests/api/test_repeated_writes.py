"""A write repeated after a lost response is done once, and gets the first response again."""

from uuid import uuid4

import pytest

from tests.harness.vault_rows import assert_problem, unchanged
from tests.harness.vault_writer import Writer
from vaultr.protocol.encoding import b64


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def requests(vault, item_id):
    """Yield each kind of write to one item with its response."""
    yield vault.put_request(item_id, "first")
    yield vault.put_request(item_id, "second")
    yield vault.move_request("trash", item_id)
    yield vault.move_request("restore", item_id)
    yield vault.move_request("remove", item_id)


def test_repeated_write_returns_first_response_immediately_and_later(app, vault):
    other = vault.put()
    done = []
    for request in requests(vault, uuid4()):
        first = vault.send(request)
        done.append((request, first))
        with unchanged(app):
            again = vault.ask(request)
        assert _status_and_body(again) == _status_and_body(first)
    vault.put(other, "moves the head")

    with unchanged(app):
        for request, first in done:
            assert _status_and_body(vault.ask(request)) == _status_and_body(first)


def _status_and_body(response):
    assert response.status_code in (200, 201)
    return response.status_code, response.json, response.headers["ETag"]


def test_repeated_batch_returns_first_response(app, vault):
    ids = [uuid4() for _ in range(3)]
    request = vault.batch_request(
        *(("put", one) for one in ids), ("trash", ids[0]), ("remove", ids[0]), ("put", ids[1])
    )
    first = vault.send(request)
    vault.put(ids[2], "moves the head")

    with unchanged(app):
        again = vault.ask(request)

    assert (again.status_code, again.json) == (200, first.json)


def test_repeated_write_needs_precondition_and_valid_body(app, vault):
    request = vault.put_request()
    vault.send(request)

    with unchanged(app):
        assert_problem(vault.ask(request.but(headers={})), 428, "precondition-required")
        assert_problem(vault.ask(request.but(overview="plain")), 422, "not-sealed")


def test_different_write_of_same_revision_is_not_replayed(app, vault):
    mine, theirs = vault.put_request(), vault.put_request()
    vault.send(theirs)
    sealed = vault.put_request()

    with unchanged(app):
        assert_problem(vault.ask(mine), 409, "head-moved")
        assert_problem(
            vault.ask(theirs.but(entry={"mac": b64(bytes(32))})), 412, "precondition-failed"
        )
        theirs.path = mine.path
        assert_problem(vault.ask(theirs), 409, "head-moved")
        assert_problem(vault.ask(sealed.but(entry={"n": 1}, content_revision=1)), 409, "head-moved")


def test_batch_with_only_last_change_stored_is_not_replayed(app, vault):
    first, last = uuid4(), uuid4()
    request = vault.batch_request(("put", first), ("put", last))
    vault.send(request)
    changes = request.body["changes"]
    other = changes[0] | {"item_id": str(uuid4())}

    with unchanged(app):
        assert_problem(vault.ask(request.but(changes=[other, changes[1]])), 409, "head-moved")
        assert_problem(
            vault.ask(request.but(changes=[changes[1], changes[1]])), 412, "precondition-failed"
        )
        again = vault.ask(request.but(changes=changes[1:]))

    assert again.json["results"] == [{"item_id": str(last), "revision": 2}]
