"""The archive of everything that the server stores about an account."""

import json
from pathlib import Path

import jsonschema
import psutil
import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness.app_fixtures import empty, signed_in
from tests.harness.machine_access import Machine, grant
from tests.harness.vault_writer import Writer
from vaultr.database.session import transaction
from vaultr.export import archive
from vaultr.export.archive import ExportTooLong
from vaultr.export.responses import ArchiveDocument

EXPORT, ANN = "/api/v1/export", "ann@example.org"
SCHEMA = Path(__file__).parents[2] / "docs" / "vaultr-archive.schema.json"
LISTS = ("sessions", "machines", "vaults", "audit")
KINDS = ("items", "versions", "entries")


def slug(response):
    return response.status_code, response.json["type"].removeprefix("urn:vaultr:problem:")


def record(line):
    return json.loads(line.removesuffix(","))


def read(lines):
    """Read an archive line by line, like a client that parses one record at a time."""
    lines = iter(lines)
    assert next(lines) == '{"format":"vaultr-export/1",'
    found = {"format": "vaultr-export/1"}
    for name in ("account", "key_set"):
        label, _, text = next(lines).partition(":")
        assert label == f'"{name}"'
        found[name] = record(text)
    for name in LISTS:
        assert next(lines) == f'"{name}":['
        found[name] = []
        end = "]}" if name == "audit" else "],"
        while (line := next(lines)) != end:
            found[name].append(read_vault(line, lines) if name == "vaults" else record(line))
    assert next(lines, None) is None
    return found


def read_vault(line, lines):
    vault = json.loads(line.removesuffix(',"items":[') + "}")
    for kind, following in zip(KINDS, (*KINDS[1:], None), strict=True):
        vault[kind] = []
        ends = {"]}", "]},"} if following is None else {f'],"{following}":['}
        while (line := next(lines)) not in ends:
            vault[kind].append(record(line))
    return vault


@pytest.fixture
def vault(app, as_ann):
    """A vault with two versions of an item, one in the trash, a removed one, and newer keys."""
    writer = Writer(as_ann).create()
    stored, gone = writer.put(text="first"), writer.put()
    writer.put(stored, text="second")
    writer.move("trash", writer.put())
    writer.move("remove", gone)
    writer.rotate()
    return writer


@pytest.mark.both_databases
def test_archive_is_valid_json_with_one_record_per_line(as_ann, as_bob, vault):
    Writer(as_bob).create().put()
    empty = Writer(as_ann).create()
    machine = Machine.created(as_ann, grant(vault))

    response = as_ann.get(EXPORT, buffered=True)

    assert (response.status_code, response.mimetype) == (200, "application/json")
    whole = json.loads(response.text)
    assert read(response.text.splitlines()) == whole
    jsonschema.validate(whole, json.loads(SCHEMA.read_text()))
    assert whole["account"]["id"] == str(as_ann.account_id)
    assert [one["id"] for one in whole["machines"]] == [machine.id]
    shown = {one["id"]: one for one in whole["vaults"]}
    assert set(shown) == {str(vault.id), str(empty.id)}
    found, synced = shown[str(vault.id)], as_ann.get(f"{vault.path}/sync").json
    assert found["items"] == synced["items"]
    later = as_ann.get(f"{vault.path}/sync?since=1").json["entries"]
    assert found["entries"][1:] == later
    assert [one["n"] for one in found["entries"]] == list(range(1, vault.state.n + 1))
    current = {one["content_revision"] for one in found["items"]}
    assert {one["revision"] for one in found["versions"]}.isdisjoint(current)
    assert len(found["versions"]) == 2
    assert [one["generation"] for one in found["keys"]] == [1, 2]
    assert shown[str(empty.id)]["items"] == []
    assert {json.loads(one["body"])["sub"] for one in whole["audit"]} == {str(as_ann.account_id)}


def test_archive_schema_in_docs_matches_response_model():
    generated = ArchiveDocument.model_json_schema(mode="serialization")

    assert json.loads(SCHEMA.read_text()) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:vaultr:archive:1",
        **generated,
    }


def test_archive_is_complete_when_read_in_batches(as_ann, vault, monkeypatch):
    monkeypatch.setattr("vaultr.vault.archive.ROWS_A_BATCH", 1)
    monkeypatch.setattr("vaultr.vault.archive.ENTRIES_A_BATCH", 2)
    monkeypatch.setattr("vaultr.audit.archive.EVENTS_A_BATCH", 3)
    small = as_ann.get(EXPORT, buffered=True).json
    monkeypatch.undo()

    whole = as_ann.get(EXPORT, buffered=True).json

    assert small["vaults"] == whole["vaults"]
    assert [one["id"] for one in small["audit"]] == [one["id"] for one in whole["audit"]][:-1]


def test_archive_is_a_snapshot_of_its_start(app, as_ann, vault, monkeypatch):
    monkeypatch.setattr(archive, "CHUNK_CHARACTERS", 1)
    response = as_ann.get(EXPORT, buffered=False)
    parts = response.iter_encoded()
    first = next(parts)
    item_id = vault.put(text="later")

    whole = json.loads(b"".join([first, *parts]))
    response.close()

    assert str(item_id) not in {one["id"] for one in whole["vaults"][0]["items"]}
    later = as_ann.get(EXPORT, buffered=True).json["vaults"][0]
    assert str(item_id) in {one["id"] for one in later["items"]}


@pytest.mark.both_databases
def test_second_export_of_an_account_is_a_conflict(app, as_ann, as_bob, vault):
    running = as_ann.get(EXPORT, buffered=False)

    second = signed_in(app, ANN).get(EXPORT, buffered=True)
    other = as_bob.get(EXPORT, buffered=True)
    running.close()

    assert slug(second) == (409, "conflict")
    assert other.status_code == 200
    assert signed_in(app, ANN).get(EXPORT, buffered=True).status_code == 200


def test_second_export_in_another_process_is_a_conflict(postgres_app, monkeypatch):
    """The lock is in PostgreSQL, because another process does not share this one's memory."""
    empty(postgres_app)
    running = signed_in(postgres_app, ANN).get(EXPORT, buffered=False)
    monkeypatch.setattr("vaultr.export.archive._Running.enter", lambda *_: None)

    second = signed_in(postgres_app, ANN).get(EXPORT, buffered=True)
    running.close()

    assert slug(second) == (409, "conflict")


def test_export_over_process_limit_returns_busy(app, as_ann):
    others = [signed_in(app, f"{name}@example.org") for name in ("one", "two")]
    running = [other.get(EXPORT, buffered=False) for other in others]

    response = as_ann.get(EXPORT, buffered=True)
    for other in running:
        other.close()

    assert slug(response) == (503, "busy")
    assert as_ann.get(EXPORT, buffered=True).status_code == 200


def test_export_over_time_limit_is_aborted(app, as_ann, vault, monkeypatch):
    monkeypatch.setattr(archive, "MOST_SECONDS", -1)
    with pytest.raises(ExportTooLong):
        as_ann.get(EXPORT, buffered=True)
    monkeypatch.undo()

    assert as_ann.get(EXPORT, buffered=True).status_code == 200


def test_head_request_leaves_no_export_running(as_ann):
    assert as_ann.head(EXPORT, buffered=True).status_code == 200
    assert as_ann.get(EXPORT, buffered=True).status_code == 200


def test_export_without_step_up_or_by_machine_returns_403(app, as_ann, vault):
    machine = Machine.created(as_ann, grant(vault))
    with app.app_context():
        factories.grow_stale(as_ann.session.id)

    assert slug(as_ann.get(EXPORT, buffered=True)) == (403, "step-up-required")
    assert slug(machine.client().get(EXPORT, buffered=True)) == (403, "forbidden")


def test_export_is_recorded(app, as_ann):
    as_ann.get(EXPORT, buffered=True)

    event = factories.events(app)[-1]
    assert (event["typ"], event["sub"]) == ("export.read", str(as_ann.account_id))


ITEMS = """
INSERT INTO items (vault_id, id, revision, content_revision, generation, type, state, size, puts,
    content, overview, detail, created_at, updated_at, audit_event_id)
SELECT :vault_id, gen_random_uuid(), n * 5, n * 5, 1, 'login', 'active', :size, 5, :hash, :sealed,
    :sealed, now(), now(), gen_random_uuid() FROM generate_series(1, 10000) n
"""
VERSIONS = """
INSERT INTO versions (vault_id, item_id, revision, generation, type, size, overview, detail,
    created_at, audit_event_id)
SELECT vault_id, id, revision - :before, 1, type, size, overview, detail, now(), audit_event_id
FROM items WHERE vault_id = :vault_id
"""


@pytest.mark.long
def test_export_of_many_versions_takes_little_memory(postgres_app):
    empty(postgres_app)
    as_ann = signed_in(postgres_app, ANN)
    vault = Writer(as_ann).create()
    sealed = factories.sealed(1000)
    values = {"vault_id": vault.id, "hash": bytes(32), "sealed": sealed, "size": 2 * len(sealed)}
    with postgres_app.app_context(), transaction() as work:
        work.execute(sa.text(ITEMS), values)
        for before in range(5):
            work.execute(sa.text(VERSIONS), {"vault_id": vault.id, "before": before})
    process, records = psutil.Process(), 0
    least = highest = process.memory_info().rss

    response = as_ann.get(EXPORT, buffered=False)
    for part in response.iter_encoded():
        records += part.count(b'"detail":')
        highest = max(highest, process.memory_info().rss)

    grown = (highest - least) / 2**20
    assert records == 50_000
    assert grown < 100
