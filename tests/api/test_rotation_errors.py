"""The errors of a key rotation at each step."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness.vault_rows import assert_problem, rows, unchanged
from tests.harness.vault_writer import Writer
from vaultr.database.session import transaction
from vaultr.protocol import sizes
from vaultr.protocol.encoding import b64
from vaultr.vault.models import VAULT_KEYS, VAULTS


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def give_key(app, vault, *machines, generation=1):
    """Store keys for machines."""
    with app.app_context(), transaction() as session:
        for holder_id in machines:
            row = {
                "vault_id": vault.id,
                "holder_id": holder_id,
                "generation": generation,
                "role": "machine",
                "sealed_key": factories.sealed(64),
                "audit_event_id": uuid4(),
            }
            session.execute(sa.insert(VAULT_KEYS), row)


@pytest.mark.parametrize("generation", [1, 3, 9])
def test_rotation_with_wrong_generation_returns_422(app, vault, generation):
    request = vault.rotation_request()

    with unchanged(app):
        problem = assert_problem(
            vault.ask(request.but(generation=generation)), 422, "unprocessable"
        )

    assert problem["errors"][0]["pointer"] == "/generation"
    assert problem["generation"] == 1


def test_generation_taken_by_concurrent_rotation_returns_generation_moved(app, vault):
    other = vault.twin()
    mine, theirs = vault.rotation_request(), other.rotation_request()
    other.done(theirs)

    with unchanged(app):
        assert assert_problem(vault.ask(mine), 409, "generation-moved")["generation"] == 2


def test_vault_has_at_most_a_thousand_generations(app, vault, monkeypatch):
    assert sizes.GENERATIONS_PER_VAULT == 1_000
    monkeypatch.setattr(sizes, "GENERATIONS_PER_VAULT", 2)
    vault.done(vault.rotation_request())

    with unchanged(app):
        assert_problem(vault.ask(vault.rotation_request()), 409, "quota-exceeded")


def test_rotation_on_stale_head_is_rejected(app, vault):
    other = vault.twin()
    request = vault.rotation_request()
    other.put()

    with unchanged(app):
        problem = assert_problem(vault.ask(request), 409, "head-moved")

    assert (problem["revision"], problem["head"]) == (1, b64(other.state.head))


def test_rotation_must_list_exactly_the_machines_with_keys(app, vault):
    machines = [uuid4() for _ in range(2)]
    give_key(app, vault, *machines)
    request = vault.rotation_request(machines)
    one = request.body["machines"][0]

    with unchanged(app):
        for named in ([], [one], [*request.body["machines"], one | {"id": str(uuid4())}]):
            problem = assert_problem(vault.ask(request.but(machines=named)), 409, "conflict")
            assert problem["errors"][0]["pointer"] == "/machines"
        twice = assert_problem(vault.ask(request.but(machines=[one, one])), 422, "unprocessable")
    assert twice["errors"][0]["pointer"] == "/machines/1/id"

    vault.done(request)
    held = {(row.holder_id, row.generation, row.role) for row in rows(app, VAULT_KEYS)}
    of_machines = {(one, number, "machine") for one in machines for number in (1, 2)}
    assert held == of_machines | {(vault.author_id, 1, "owner"), (vault.author_id, 2, "owner")}


@pytest.mark.parametrize("text", ["", "my keys", b64(b"my keys" * 20), b64(bytes(145)), "Ab=="])
def test_unsealed_wrap_is_rejected(app, vault, text):
    machine = uuid4()
    give_key(app, vault, machine)
    request = vault.rotation_request([machine])
    wraps = [request.body["machines"][0] | {"sealed_key": text}]

    with unchanged(app):
        own = assert_problem(vault.ask(request.but(sealed_key=text)), 422, "not-sealed")
        of_machine = assert_problem(vault.ask(request.but(machines=wraps)), 422, "not-sealed")

    assert [fault["pointer"] for fault in own["errors"]] == ["/sealed_key"]
    assert [fault["pointer"] for fault in of_machine["errors"]] == ["/machines/0/sealed_key"]


def test_rotation_of_another_accounts_vault_is_not_found(app, vault, as_bob):
    anonymous = vault.twin(as_bob)

    with unchanged(app):
        assert_problem(anonymous.ask(anonymous.rotation_request()), 404, "vault-not-found")
        assert_problem(anonymous.ask(anonymous.finish_request()), 404, "vault-not-found")
        assert_problem(as_bob.get(f"{vault.path}/rotation"), 404, "vault-not-found")


def test_rotation_needs_recent_step_up(app, vault, as_ann):
    with app.app_context():
        factories.grow_stale(as_ann.session.id)

    with unchanged(app):
        assert_problem(vault.ask(vault.rotation_request()), 403, "step-up-required")
        assert_problem(vault.ask(vault.repair_request()), 403, "step-up-required")
    (row,) = rows(app, VAULTS)
    assert (row.generation, bool(row.rotating)) == (1, False)
