"""Vaults as a whole: create, list, show, rename, and ownership."""

from uuid import uuid4

import pytest

from tests import factories
from tests.harness.vault_rows import assert_problem, rows, unchanged
from tests.harness.vault_writer import VAULTS, Writer
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import first_head
from vaultr.vault.models import VAULT_KEYS

pytestmark = pytest.mark.both_databases


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def test_new_vault_is_empty_at_its_first_head(app, as_ann):
    writer = Writer(as_ann)

    response = as_ann.post(VAULTS, json=writer.creation())

    assert response.status_code == 201
    assert response.headers["ETag"] == '"0"'
    shown = response.json
    assert as_ann.get(writer.path).json == shown
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "id": str(writer.id),
        "role": "owner",
        "keys": [{"generation": 1, "sealed_key": writer.creation()["sealed_key"]}],
        "overview": b64(writer.overview),
        "overview_revision": 0,
        "overview_generation": 1,
        "generation": 1,
        "rotating": False,
        "revision": 0,
        "head": b64(first_head(writer.id)),
        "counts": {"active": 0, "trash": 0},
        "bytes": 0,
        "quota": {"items": 10_000, "bytes": 256 * 2**20},
    }


def test_vault_creation_is_recorded(app, as_ann):
    vault = Writer(as_ann).create()

    made = [event for event in factories.events(app) if event["typ"] == "vault.create"]
    assert [event["obj"] for event in made] == [{"kind": "vault", "id": str(vault.id)}]
    assert made[0]["sub"] == made[0]["act"] == str(as_ann.account_id)


def test_list_has_own_vaults_in_pages(app, as_ann, as_bob):
    mine = sorted(str(Writer(as_ann).create().id) for _ in range(3))
    Writer(as_bob).create()

    whole = as_ann.get(VAULTS).json
    first = as_ann.get(f"{VAULTS}?limit=2").json
    second = as_ann.get(f"{VAULTS}?limit=2&cursor={first['next_cursor']}").json

    assert [vault["id"] for vault in whole["vaults"]] == mine
    assert whole["next_cursor"] is None
    assert [vault["id"] for vault in first["vaults"] + second["vaults"]] == mine
    assert second["next_cursor"] is None


def test_foreign_or_forged_vault_cursor_is_rejected(app, as_ann, as_bob):
    for client in (as_ann, as_bob):
        Writer(client).create()
        Writer(client).create()
    of_bob = as_bob.get(f"{VAULTS}?limit=1").json["next_cursor"]

    for cursor in (of_bob, "AAAA", "x", of_bob[:-1]):
        assert_problem(as_ann.get(f"{VAULTS}?cursor={cursor}"), 400, "bad-request")


def test_taken_vault_id_is_rejected_for_every_account(app, as_ann, as_bob, vault):
    with unchanged(app):
        assert_problem(as_ann.post(VAULTS, json=vault.creation()), 409, "vault-exists")
        assert_problem(as_bob.post(VAULTS, json=vault.creation()), 409, "vault-exists")


@pytest.mark.parametrize("member", ["sealed_key", "overview"])
@pytest.mark.parametrize(
    "text", ["", "my passwords", b64(b"my passwords" * 20), b64(bytes(145)), "Ab=="]
)
def test_vault_with_unsealed_members_is_rejected(app, as_ann, member, text):
    body = Writer(as_ann).creation() | {member: text}

    with unchanged(app):
        problem = assert_problem(as_ann.post(VAULTS, json=body), 422, "not-sealed")

    assert [fault["pointer"] for fault in problem["errors"]] == [f"/{member}"]


def test_vault_over_quota_returns_409(app, as_ann, as_bob, set_to):
    set_to(app, quota_vaults=2)
    Writer(as_ann).create()
    Writer(as_ann).create()

    with unchanged(app):
        assert_problem(as_ann.post(VAULTS, json=Writer(as_ann).creation()), 409, "quota-exceeded")

    Writer(as_bob).create()


def test_rename_adds_a_log_entry_and_an_event(app, vault):
    vault.put()

    response = vault.send(vault.rename_request("another name"))

    assert response.status_code == 200
    assert response.headers["ETag"] == '"2"'
    assert response.json["overview_revision"] == 2
    assert response.json["counts"] == {"active": 1, "trash": 0}
    renamed = [event for event in factories.events(app) if event["typ"] == "vault.rename"]
    head = response.json["head"]
    reported = {"kind": "vault", "id": str(vault.id), "from": 2, "to": 2, "head": head}
    assert [event["obj"] for event in renamed] == [reported]
    vault.full()


def test_repeated_rename_returns_first_response(app, vault):
    request = vault.rename_request("another name")
    first = vault.send(request).json
    again = vault.ask(request).json
    vault.send(vault.rename_request("a third name"))
    vault.put()

    with unchanged(app):
        later = vault.ask(request).json

    assert again == first
    changed = ("counts", "bytes")  # the current ones, because the log does not contain earlier ones
    assert {**later, **{name: first[name] for name in changed}} == first


@pytest.mark.parametrize(
    ("override", "status", "slug"),
    [
        ({"overview": "a plain name"}, 422, "not-sealed"),
        ({"generation": 2}, 422, "unprocessable"),
        ({"generation": 0}, 400, "bad-request"),
        ({"entry": {"n": 2}}, 409, "head-moved"),
        ({"entry": {"prev": b64(bytes(32))}}, 409, "head-moved"),
        ({"entry": {"mac": "AA"}}, 400, "bad-request"),
        ({"name": "x"}, 400, "bad-request"),
    ],
)
def test_invalid_rename_returns_its_problem_and_changes_nothing(app, vault, override, status, slug):
    request = vault.rename_request("another name").but(**override)

    with unchanged(app):
        assert_problem(vault.ask(request), status, slug)


def test_vault_of_another_account_returns_404(app, as_ann, as_bob):
    theirs = Writer(as_bob).create()
    item_id = theirs.put()
    as_others = theirs.twin(as_ann)
    put, move = as_others.put_request(), as_others.move_request("trash", item_id)
    batch, rename = as_others.batch_request(("trash", item_id)), as_others.rename_request("mine")

    with unchanged(app):
        answers = [as_others.ask(request) for request in (put, move, batch, rename)]
        places = ("", "/items", f"/items/{item_id}", "/sync", "/sync?since=1")
        answers += [as_ann.get(f"{theirs.path}{place}") for place in places]
        absent = [as_ann.get(f"{VAULTS}/{uuid4()}{place}") for place in places]

    for answer in (*answers, *absent):
        problem = assert_problem(answer, 404, "vault-not-found")
        assert {"type", "title", "status", "detail", "request_id"} == problem.keys()


def test_missing_vault_is_reported_before_invalid_body(as_ann):
    stray = Writer(as_ann)
    bare = {"headers": {}, "overview": "plain", "entry": {"n": 9}}

    assert_problem(stray.ask(stray.put_request().but(**bare)), 404, "vault-not-found")
    assert_problem(
        stray.ask(stray.rename_request("x").but(overview="plain")), 404, "vault-not-found"
    )


def test_noncanonical_id_in_path_returns_404(as_ann):
    wrong = str(uuid4()).upper()

    assert_problem(as_ann.get(f"{VAULTS}/{wrong}"), 404, "not-found")
    assert_problem(as_ann.get(f"{VAULTS}/{uuid4().hex}/items"), 404, "not-found")


def test_anonymous_and_dead_session_get_401_for_any_body(app, client, vault):
    item_id = vault.put()
    paths = [
        vault.path,
        f"{vault.path}/items",
        f"{vault.path}/items/{item_id}",
        f"{vault.path}/sync",
    ]
    writes = [vault.put_request(), vault.move_request("trash", item_id), vault.rename_request("x")]
    writes += [vault.batch_request(("trash", item_id)), writes[0].but(overview="plain", nonsense=1)]
    vault.client.post("/api/v1/auth/logout")

    with unchanged(app):
        for asks in (client, vault.client):
            other = vault.twin(asks)
            for response in [asks.get(path) for path in paths] + [other.ask(one) for one in writes]:
                assert_problem(response, 401, "unauthenticated")
            assert_problem(asks.get(f"{vault.path}/sync?since=x"), 401, "unauthenticated")


def test_wrap_is_stored_for_its_holder_with_role(app, as_ann, vault):
    (wrap,) = rows(app, VAULT_KEYS)

    assert (wrap.vault_id, wrap.holder_id) == (vault.id, as_ann.account_id)
    assert (wrap.role, wrap.generation) == ("owner", 1)
