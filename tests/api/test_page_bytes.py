"""Every list ends at 4 MiB, and its pages contain every row once."""

import json
import secrets
from uuid import uuid4

import flask_migrate
import pytest
import sqlalchemy as sa

from tests import factories
from tests.guards.source_tree import ROOT
from tests.harness.vault_rows import assert_problem, unchanged
from tests.harness.vault_writer import Writer
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.database.session import db, transaction
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.sizes import ITEM_BYTES, KEY_WRAP_BYTES, PAGE_BYTES, VAULTS_PER_ACCOUNT
from vaultr.vault.models import ITEMS, VAULT_KEYS, VAULTS, VERSIONS

pytestmark = pytest.mark.both_databases
VAULTS_URL = "/api/v1/vaults"


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def pages(client, url, member):
    found, cursor = [], ""
    while cursor is not None:
        page = client.get(f"{url}?limit=200{cursor and f'&cursor={cursor}'}").json
        found.append(page[member])
        cursor = page["next_cursor"]
    return found


def change(app, statement):
    with app.app_context(), transaction() as session:
        session.execute(statement)


def check_pages(found, sizes, count):
    """Check that pages are full, and none exceeds its limit."""
    totals = [sum(sizes(row) for row in page) for page in found]
    assert sum(map(len, found)) == count
    assert len(totals) > 1
    assert max(totals) <= PAGE_BYTES
    assert totals[0] + sizes(found[1][0]) > PAGE_BYTES


def overview_bytes(row):
    return len(unb64(row["overview"]))


def test_list_of_items_ends_at_four_mebibytes(app, as_ann, vault):
    vault.send(vault.batch_request(*(("put", uuid4()) for _ in range(90))))
    change(app, sa.update(ITEMS).values(overview=secrets.token_bytes(ITEM_BYTES)))

    found = pages(as_ann, f"{vault.path}/items", "items")

    check_pages(found, overview_bytes, 90)


def test_list_of_versions_ends_at_four_mebibytes(app, as_ann, vault):
    item_id = vault.put()
    for _ in range(9):
        vault.put(item_id)
    change(app, sa.update(VERSIONS).values(overview=secrets.token_bytes(10 * ITEM_BYTES)))

    found = pages(as_ann, f"{vault.path}/items/{item_id}/versions", "versions")

    check_pages(found, overview_bytes, 10)
    revisions = [row["revision"] for page in found for row in page]
    assert revisions == sorted(revisions, reverse=True)


def test_row_larger_than_a_page_gets_a_separate_page(app, as_ann, vault):
    vault.put()
    vault.put()
    change(app, sa.update(ITEMS).values(overview=secrets.token_bytes(PAGE_BYTES + 1)))

    found = pages(as_ann, f"{vault.path}/items", "items")

    assert [len(page) for page in found] == [1, 1]


def test_list_of_vaults_ends_at_four_mebibytes(app, as_ann):
    for _ in range(VAULTS_PER_ACCOUNT):
        Writer(as_ann).create()
    change(app, sa.update(VAULTS).values(overview=secrets.token_bytes(ITEM_BYTES)))
    wrap = secrets.token_bytes(PAGE_BYTES // VAULTS_PER_ACCOUNT)
    change(app, sa.update(VAULT_KEYS).values(sealed_key=wrap))

    found = pages(as_ann, VAULTS_URL, "vaults")

    def sizes(row):
        return overview_bytes(row) + sum(len(unb64(key["sealed_key"])) for key in row["keys"])

    check_pages(found, sizes, VAULTS_PER_ACCOUNT)


def test_list_of_events_ends_at_four_mebibytes(app, as_ann):
    ids = [str(uuid4()) for _ in range(2000)]
    with app.app_context(), transaction():
        for _ in range(60):
            obj = {"kind": "vault", "id": ids[0], "items": ids}
            audit.record(Event.ITEM_READ, account_id=as_ann.account_id, obj=obj)

    found = pages(as_ann, "/api/v1/audit/events", "events")

    sizes = [sum(len(json.dumps(row["body"])) for row in page) for page in found]
    assert sum(len(page) for page in found) == 61
    assert len(sizes) == 2
    assert max(sizes) <= PAGE_BYTES


def test_sealed_key_above_its_limit_is_rejected(app, as_ann, vault):
    wrap = factories.sealed(950)
    new, rotation = Writer(as_ann).creation(), vault.rotation_request().body
    machine = {"id": str(uuid4()), "sealed_key": b64(wrap)}

    with unchanged(app):
        answers = [
            as_ann.post(VAULTS_URL, json=new | {"sealed_key": b64(wrap)}),
            as_ann.post(f"{vault.path}/rotation", json=rotation | {"sealed_key": b64(wrap)}),
            as_ann.post(f"{vault.path}/rotation", json=rotation | {"machines": [machine]}),
        ]
    largest = as_ann.post(VAULTS_URL, json=new | {"sealed_key": b64(factories.sealed(890))})

    assert len(wrap) > KEY_WRAP_BYTES
    assert [
        assert_problem(one, 413, "item-too-large")["errors"][0]["pointer"] for one in answers
    ] == [
        "/sealed_key",
        "/sealed_key",
        "/machines/0/sealed_key",
    ]
    assert largest.status_code == 201


def test_migration_reports_sealed_keys_above_the_limit(app, vault, caplog):
    folder = str(ROOT / "migrations")
    change(app, sa.update(VAULT_KEYS).values(sealed_key=secrets.token_bytes(KEY_WRAP_BYTES + 1)))

    with app.app_context():
        flask_migrate.stamp(directory=folder, revision="0012")
        try:
            flask_migrate.upgrade(directory=folder, revision="0013")
        finally:
            with db.engine.begin() as connection:
                connection.execute(sa.text("DROP TABLE alembic_version"))

    assert "1 vault keys have more than 1,024 sealed bytes" in caplog.text
