"""A repair is an entry that changes nothing and commits to the current contents."""

import pytest

from tests import factories
from tests.harness.vault_rows import assert_problem, rows, unchanged
from tests.harness.vault_writer import Writer
from vaultr.client.errors import ChainBroken
from vaultr.protocol.encoding import b64
from vaultr.vault.models import ENTRIES, ITEMS


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def test_repair_only_adds_one_entry(app, vault):
    vault.put()
    items = rows(app, ITEMS)

    response = vault.done(vault.repair_request())

    assert (response.json["revision"], response.headers["ETag"]) == (2, '"2"')
    assert response.json["overview_revision"] == 0
    assert rows(app, ITEMS) == items
    (entry,) = rows(app, ENTRIES, n=2)
    arguments = (entry.op, entry.item_id, entry.content_revision, entry.content, entry.generation)
    assert arguments == ("repair", None, 0, bytes(32), 1)
    vault.full()


def test_repair_is_recorded_with_the_new_head(app, vault):
    head = vault.done(vault.repair_request()).json["head"]

    events = [event["obj"] for event in factories.events(app) if event["typ"] == "vault.repair"]
    assert events == [{"kind": "vault", "id": str(vault.id), "from": 1, "to": 1, "head": head}]


def test_repair_needs_current_head_of_same_vault(app, vault, as_bob):
    request = vault.repair_request()
    anonymous = vault.twin(as_bob)

    with unchanged(app):
        assert_problem(vault.ask(request.but(entry={"n": 2})), 409, "head-moved")
        assert_problem(vault.ask(request.but(entry={"prev": b64(bytes(32))})), 409, "head-moved")
        assert_problem(vault.ask(request.but(generation=1)), 400, "bad-request")
        assert_problem(anonymous.ask(request), 404, "vault-not-found")


def test_entry_with_foreign_mac_is_stored_and_returned_unchanged(app, vault, as_ann):
    """The server has no key to check it; clients have one, and reject the chain."""
    other = Writer(as_ann).create()
    request = vault.repair_request()
    mac = other.repair_request().body["entry"]["mac"]

    response = vault.ask(request.but(entry={"mac": mac}))

    assert response.status_code == 200
    assert as_ann.get(f"{vault.path}/sync").json["head_entry"]["mac"] == mac
    with pytest.raises(ChainBroken):
        vault.full()
