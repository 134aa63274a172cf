"""Old versions have a quota of bytes: the oldest are deleted, and no write is rejected."""

from uuid import uuid4

import pytest

from tests.harness.vault_rows import rows
from tests.harness.vault_writer import Writer
from vaultr.vault import version_retention
from vaultr.vault.models import ITEMS, VAULTS, VERSIONS

pytestmark = pytest.mark.both_databases


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


@pytest.fixture
def size(app, vault):
    """The size of one item of `Writer.put`; its first item is removed again."""
    item_id = vault.put()
    (item,) = rows(app, ITEMS)
    vault.move("remove", item_id)
    return item.size


def stored_versions(app):
    """Return the revisions of the versions that are not current, and check the counts."""
    current = {(item.id, item.content_revision) for item in rows(app, ITEMS)}
    versions = {(one.item_id, one.revision): one.size for one in rows(app, VERSIONS)}
    (vault,) = rows(app, VAULTS)
    assert current <= versions.keys()
    assert vault.version_bytes == sum(versions.values())
    return sorted(revision for _, revision in versions.keys() - current)


def test_oldest_versions_of_the_vault_are_dropped_first(app, vault, size, set_to):
    set_to(app, quota_vault_bytes=4 * size)
    first, second = vault.put(), vault.put()  # 3, 4

    for item_id in (first, second, first):  # 5, 6, 7
        vault.put(item_id)
    assert stored_versions(app) == [3, 4, 5]
    vault.put(second)  # 8
    assert stored_versions(app) == [3, 4, 5, 6]
    vault.put(second)  # 9

    assert stored_versions(app) == [4, 5, 6, 8]
    vault.put(first)  # 10
    assert stored_versions(app) == [5, 6, 7, 8]
    listed = vault.client.get(f"{vault.path}/items/{first}/versions").json["versions"]
    assert [one["revision"] for one in listed] == [10, 7, 5]


def test_current_contents_are_never_removed(app, vault, size, set_to):
    set_to(app, quota_vault_bytes=6 * size)
    old = [vault.put() for _ in range(3)]
    vault.move("trash", old[0])
    busy = vault.put()

    for n in range(12):
        vault.put(busy, str(n))

    assert len(stored_versions(app)) == 6
    assert {item.id for item in rows(app, ITEMS)} == {*old, busy}
    vault.full()


@pytest.mark.parametrize("rows_a_step", [1, 2, 1000])
def test_batch_applies_the_version_quota(app, vault, size, set_to, monkeypatch, rows_a_step):
    monkeypatch.setattr(version_retention, "_ROWS_A_STEP", rows_a_step)
    set_to(app, quota_vault_bytes=3 * size)
    quiet, busy, brief = vault.put(), vault.put(), uuid4()

    steps = [("put", busy, str(n)) for n in range(5)]
    vault.done(vault.batch_request(*steps, ("put", brief), ("remove", brief), ("put", busy)))

    assert stored_versions(app) == [vault.state.n - 5, vault.state.n - 4, vault.state.n - 3]
    assert {item.id for item in rows(app, ITEMS)} == {quiet, busy}


def test_retention_drops_a_little_more_than_needed(app, vault, size, set_to):
    set_to(app, quota_vault_bytes=130 * size)
    items = [vault.put() for _ in range(4)]
    rounds = [("put", items[n % 4], str(n)) for n in range(130)]
    vault.done(vault.batch_request(*rounds))
    assert len(stored_versions(app)) == 130

    vault.put(items[0])

    assert len(stored_versions(app)) == 128


def test_lowered_version_quota_is_applied_step_by_step(app, vault, size, set_to, monkeypatch):
    monkeypatch.setattr(version_retention, "_ROWS_A_STEP", 4)
    monkeypatch.setattr(version_retention, "_MOST_A_WRITE", 8)
    item_id = vault.put()
    vault.done(vault.batch_request(*(("put", item_id, str(n)) for n in range(20))))

    set_to(app, quota_vault_bytes=5 * size)
    left = []
    for _ in range(3):
        vault.put(item_id)
        left.append(len(stored_versions(app)))

    assert left == [13, 6, 5]


def test_moves_and_removals_keep_versions_of_other_items(app, vault, size, set_to):
    set_to(app, quota_vault_bytes=3 * size)
    first, second = vault.put(), vault.put()
    for item_id in (first, second, first):
        vault.put(item_id)
    before = stored_versions(app)

    vault.move("trash", first)
    vault.move("restore", first)
    assert stored_versions(app) == before
    vault.move("remove", second)
    assert stored_versions(app) == [3, 5]
