"""Invalid bodies for the rotation routes get an error, and change nothing."""

from uuid import uuid4

import pytest

from tests.harness.vault_rows import assert_problem, unchanged
from tests.harness.vault_writer import Writer
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.errors import SealBroken
from vaultr.protocol.encoding import b64, unb64

GONE = object()
ODD_NUMBERS = (0, -1, 1.5, True, "2", None, [])
WRAP = {"id": str(uuid4()), "sealed_key": ""}


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def altered(request, changes):
    body = request.body | changes
    return {name: value for name, value in body.items() if value is not GONE}


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        *(({"generation": number}, "/generation") for number in (*ODD_NUMBERS, GONE)),
        *(({"sealed_key": value}, "/sealed_key") for value in (None, 1, [], {}, GONE)),
        *(({"machines": value}, "/machines") for value in (None, {}, "all", 1, GONE)),
        *(({"machines": [value]}, "/machines/0") for value in (None, "x", [])),
        ({"machines": [{}]}, "/machines/0/id"),
        ({"machines": [WRAP | {"id": str(uuid4()).upper()}]}, "/machines/0/id"),
        ({"machines": [WRAP | {"rights": "read"}]}, "/machines/0/rights"),
        ({"machines": [{"id": WRAP["id"]}]}, "/machines/0/sealed_key"),
        *(({"entry": value}, "/entry") for value in (None, [], "x", GONE)),
        ({"entry": {}}, "/entry/n"),
        ({"extra": 1}, "/extra"),
        ({"generation": 2**53}, ""),  # no JSON parser represents it exactly
    ],
)
@pytest.mark.matrix(8)
def test_malformed_rotation_returns_400_with_pointer(app, vault, changes, at):
    body = altered(vault.rotation_request(), changes)

    with unchanged(app):
        problem = assert_problem(
            vault.client.post(f"{vault.path}/rotation", json=body), 400, "bad-request"
        )

    assert at in [fault["pointer"] for fault in problem["errors"]]


@pytest.mark.parametrize("path", ["rotation/finish", "repair"])
@pytest.mark.parametrize("member", ["n", "prev", "vouch", "mac"])
@pytest.mark.parametrize("value", [None, GONE, "", "AA", "Ab==", [], -1, True, b64(bytes(33))])
@pytest.mark.matrix(12)
def test_malformed_entry_returns_400_with_pointer(app, vault, path, member, value):
    entry = altered(vault.repair_request(), {})["entry"] | {member: value}
    body = {"entry": {name: one for name, one in entry.items() if one is not GONE}}

    with unchanged(app):
        problem = assert_problem(
            vault.client.post(f"{vault.path}/{path}", json=body), 400, "bad-request"
        )

    assert [fault["pointer"] for fault in problem["errors"]] == [f"/entry/{member}"]


def test_unknown_rotation_routes_and_methods_are_rejected(app, vault):
    with unchanged(app):
        for method, path in (
            ("put", "rotation"),
            ("delete", "rotation"),
            ("get", "rotation/finish"),
            ("get", "repair"),
        ):
            answer = getattr(vault.client, method)(f"{vault.path}/{path}")
            assert_problem(answer, 405, "method-not-allowed")
        assert_problem(
            vault.client.post(f"{vault.path}/rotation/cancel", json={}), 404, "not-found"
        )


def test_foreign_wrap_is_stored_and_opens_for_no_client(app, vault, as_ann):
    """The server opens no wraps; a client notices itself if a wrap is not its own."""
    other = Writer(as_ann).create()
    theirs = other.rotation_request().body["sealed_key"]

    shown = vault.ask(vault.rotation_request().but(sealed_key=theirs)).json

    assert shown["keys"][1]["sealed_key"] == theirs
    with pytest.raises(SealBroken):
        VaultKeys.unwrap(bytes(32), vault.author_id, vault.id, 2, unb64(theirs))


@pytest.mark.parametrize("begun", [0, 1, 2])
def test_rotation_steps_out_of_order_are_rejected(app, vault, begun):
    item_id = vault.put()
    for _ in range(begun):
        vault.done(vault.rotation_request())

    with unchanged(app):
        slug = "rotation-incomplete" if begun else "conflict"
        assert_problem(vault.ask(vault.finish_request()), 409, slug)
        request = vault.rotation_request()
        assert_problem(vault.ask(request.but(generation=begun + 3)), 422, "unprocessable")
        assert_problem(vault.ask(request.but(generation=begun + 1)), 422, "unprocessable")
        put = vault.put_request(item_id) if not begun else vault.twin().put_request(item_id)
        assert_problem(vault.ask(put.but(generation=vault.generation + 1)), 422, "unprocessable")


def test_removed_id_cannot_be_reused_after_rotation(app, vault):
    item_id = vault.put()
    vault.move("remove", item_id)
    vault.rotate()

    with unchanged(app):
        assert_problem(vault.ask(vault.put_request(item_id)), 409, "conflict")
        batch = vault.batch_request(("put", uuid4()), ("put", item_id))
        problem = assert_problem(vault.ask(batch), 409, "conflict")
    assert problem["errors"][0]["pointer"] == "/changes/1"
