"""A dry run returns the verdict for each change of a batch, and changes nothing."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests.harness.vault_rows import assert_problem, unchanged
from tests.harness.vault_writer import Writer
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64
from vaultr.vault.models import VAULTS

pytestmark = pytest.mark.both_databases


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def tried(app, vault, request):
    """Send a batch as a dry run; return the verdicts."""
    with unchanged(app):
        response = vault.client.post(f"{request.path}?dry_run=true", json=request.body)
    assert response.status_code == 200, response.json
    assert [one["item_id"] for one in response.json["verdicts"]] == [
        one["item_id"] for one in request.body["changes"]
    ]
    return response.json["verdicts"]


def problems(verdicts):
    assert all(one["ok"] == ("problem" not in one) for one in verdicts)
    return [one.get("problem") for one in verdicts]


def test_dry_run_that_passes_can_be_applied(app, vault):
    old = vault.put()
    request = vault.batch_request(("put", uuid4()), ("trash", old), ("restore", old), ("put", old))

    verdicts = tried(app, vault, request)

    assert problems(verdicts) == [None] * 4
    assert vault.send(request).status_code == 200
    # it would get the same response again
    assert problems(tried(app, vault, request)) == [None] * 4


def test_dry_run_returns_a_verdict_for_each_change(app, vault):
    first, second, trashed = (vault.put() for _ in range(3))
    vault.move("trash", trashed)
    new = uuid4()
    request = vault.batch_request(
        ("put", first, "stale"),
        ("put", new, "unsealed"),
        ("put", second, "fine"),
        ("restore", trashed),
        ("remove", second),
        ("put", uuid4(), "fine"),
    )
    changes = request.body["changes"]
    changes[0]["if_match"] = 9
    changes[1]["detail"] = "plain"
    changes[3]["item_id"] = str(uuid4())
    del changes[5]["if_none_match"]

    verdicts = tried(app, vault, request)

    assert problems(verdicts) == [
        "precondition-failed",
        "not-sealed",
        None,
        "item-not-found",
        None,
        "precondition-required",
    ]


def test_entry_is_checked_against_previous_one(app, vault):
    behind = vault.twin()
    request = behind.batch_request(*(("put", uuid4()) for _ in range(3)))
    vault.put()

    assert problems(tried(app, vault, request)) == ["head-moved", None, None]

    request = vault.batch_request(*(("put", uuid4()) for _ in range(4)))
    request.body["changes"][1]["entry"]["prev"] = b64(bytes(32))
    request.body["changes"][3]["entry"]["n"] += 1
    request.body["changes"][3]["content_revision"] += 1
    assert problems(tried(app, vault, request)) == [None, "head-moved", None, "head-moved"]


def test_dry_run_checks_quota_and_key_generation(app, vault, set_to):
    set_to(app, quota_items=2)
    stale = vault.twin()
    vault.done(vault.rotation_request())

    request = vault.batch_request(*(("put", uuid4()) for _ in range(3)))
    assert problems(tried(app, vault, request)) == [None, None, "quota-exceeded"]
    request = stale.batch_request(("put", uuid4()))
    assert problems(tried(app, vault, request)) == ["generation-moved"]


def test_dry_run_does_not_wait_for_writers(app, vault):
    request = vault.batch_request(("put", uuid4()))

    with app.app_context(), transaction() as session:
        session.execute(sa.select(VAULTS).with_for_update()).all()
        verdicts = vault.client.post(f"{request.path}?dry_run=true", json=request.body)

    assert problems(verdicts.json["verdicts"]) == [None]


@pytest.mark.parametrize("query", ["dry_run=1", "dry_run=yes", "dry_run=", "dry_run=True", "x=1"])
def test_unknown_query_of_dry_run_is_rejected(app, vault, query):
    request = vault.batch_request(("put", uuid4()))

    with unchanged(app):
        response = vault.client.post(f"{request.path}?{query}", json=request.body)

    assert_problem(response, 400, "bad-request")


def test_dry_run_on_another_accounts_vault_is_not_found(app, vault, as_bob):
    request = vault.batch_request(("put", uuid4()))

    response = as_bob.post(f"{request.path}?dry_run=true", json=request.body)

    assert_problem(response, 404, "vault-not-found")
