"""Deleting a vault removes all its rows except its audit events."""

import pytest

from tests import factories
from tests.harness.vault_rows import TABLES, assert_problem, rows, unchanged
from tests.harness.vault_writer import VAULTS, Writer
from vaultr.protocol.encoding import b64
from vaultr.vault import vault_deletion

pytestmark = pytest.mark.both_databases


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def fill(vault):
    """Write rows to every table of a vault."""
    first, second = vault.put(), vault.put()
    vault.put(first, "changed")
    vault.move("trash", second)
    vault.move("remove", second)
    vault.rotate()
    return first


def test_deleted_vault_leaves_only_audit_events(app, as_ann, vault):
    item_id = fill(vault)
    other = Writer(as_ann).create()
    stored = other.put()

    response = as_ann.delete(vault.path)

    assert (response.status_code, response.data) == (204, b"")
    for table in TABLES:
        assert not [row for row in rows(app, table) if vault.id in row]
    assert other.full().state.items.keys() == {stored}
    assert_problem(as_ann.get(vault.path), 404, "vault-not-found")
    assert_problem(as_ann.get(f"{vault.path}/items/{item_id}"), 404, "vault-not-found")
    assert_problem(as_ann.delete(vault.path), 404, "vault-not-found")
    assert [one["id"] for one in as_ann.get(VAULTS).json["vaults"]] == [str(other.id)]
    events = [event["obj"] for event in factories.events(app) if event["typ"] == "vault.delete"]
    end = {"to": vault.state.n, "head": b64(vault.state.head)}
    assert events == [{"kind": "vault", "id": str(vault.id), **end}]


def test_long_history_is_deleted_in_steps(app, as_ann, vault, monkeypatch):
    monkeypatch.setattr(vault_deletion, "REVISIONS_A_STEP", 3)
    fill(vault)
    other = Writer(as_ann).create()
    fill(other)

    assert as_ann.delete(vault.path).status_code == 204

    for table in TABLES:
        assert not [row for row in rows(app, table) if vault.id in row]
    assert other.full().state.items == other.state.items


def test_deleting_a_vault_needs_owners_step_up(app, as_ann, as_bob, vault):
    fill(vault)

    with unchanged(app):
        assert_problem(as_bob.delete(vault.path), 404, "vault-not-found")
        assert_problem(as_ann.delete(vault.path, json={}), 400, "bad-request")
        with app.app_context():
            factories.grow_stale(as_ann.session.id)
        assert_problem(as_ann.delete(vault.path), 403, "step-up-required")


def test_deleted_vault_frees_quota_for_another(app, as_ann, vault, set_to):
    set_to(app, quota_vaults=1)
    assert_problem(as_ann.post(VAULTS, json=Writer(as_ann).creation()), 409, "quota-exceeded")

    as_ann.delete(vault.path)

    Writer(as_ann).create()
