"""A random life of a vault: whoever follows it by deltas or takes it whole holds what is stored."""

import random
from uuid import uuid4

import pytest

from tests.vault_rows import everything, rows
from tests.vault_writer import Writer
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import item_content
from vaultr.vault.models import ENTRIES, ITEMS, REMOVED, VAULTS, VERSIONS

STEPS = 40


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


def seeds(metafunc):
    return range(50 if metafunc.config.getoption("--long") else 3)


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", seeds(metafunc))


def test_every_reader_of_a_random_life_holds_what_is_stored(app, vault, seed):
    chance, readers, sent = random.Random(seed), [vault.twin() for _ in range(3)], []

    for _ in range(STEPS):
        _write(app, vault, chance, sent)
        reader = chance.choice(readers)
        if chance.random() < 0.3:
            reader.sync(limit=chance.choice([1, 2, 5, 500]))
            assert reader.state.waypoint == vault.state.waypoint

    for reader in readers:
        reader.sync(limit=chance.choice([1, 3, 500]))
        assert reader.state.items == vault.state.items
    assert vault.full(limit=chance.choice([1, 4, 500])).state.items == vault.state.items
    _check_tables(app, vault)


def _write(app, vault, chance, sent):
    if sent and chance.random() < 0.15:  # an answer was lost
        before = everything(app)
        again, first = chance.choice(sent)
        answer = vault.ask(again)
        assert answer.status_code == first.status_code
        assert answer.headers.get("ETag") == first.headers.get("ETag")
        assert answer.json["head"] == first.json["head"]
        assert everything(app) == before
        return
    request = _any_request(vault, chance)
    if chance.random() < 0.1:
        before = everything(app)
        entry = {"mac": b64(bytes(32)), "prev": b64(bytes(32))}
        body = request.body.get("changes")
        last = (
            {"changes": [*body[:-1], body[-1] | {"entry": body[-1]["entry"] | entry}]}
            if body
            else {}
        )
        assert vault.ask(request.but(**last, entry=None if body else entry)).status_code == 409
        assert everything(app) == before
        return
    answer = vault.send(request)
    assert answer.status_code in (200, 201), answer.json
    sent.append((request, answer))


def _any_request(vault, chance):
    kind = chance.random()
    if kind < 0.1:
        return vault.rename_request(f"name {chance.random()}")
    if kind < 0.3:
        return vault.batch_request(*_any_steps(vault, chance, chance.randint(1, 12)))
    ((op, item_id, *text),) = _any_steps(vault, chance, 1)
    return vault.put_request(item_id, *text) if op == "put" else vault.move_request(op, item_id)


def _any_steps(vault, chance, number):
    states = {item_id: held.state for item_id, held in vault.state.items.items()}
    steps = []
    for _ in range(number):
        item_id = chance.choice([*states, *[uuid4()] * 3])
        state = states.get(item_id)
        can = {None: ["put"], "active": ["put", "put", "trash", "remove"]}
        op = chance.choice(can.get(state, ["restore", "restore", "remove"]))
        steps.append((op, item_id, "x" * chance.randint(0, 300)) if op == "put" else (op, item_id))
        states[item_id] = {"put": "active", "restore": "active", "trash": "trash"}.get(op)
        if op == "remove":
            del states[item_id]
    return steps


def _check_tables(app, vault):
    items, versions, entries = (rows(app, table) for table in (ITEMS, VERSIONS, ENTRIES))
    (row,) = rows(app, VAULTS)
    held = {
        item.id: (item.revision, item.content_revision, item.state, item.content) for item in items
    }
    assert held == {
        item_id: (one.revision, one.content_revision, one.state, one.content)
        for item_id, one in vault.state.items.items()
    }
    for item in items:
        assert item.content == item_content(item.type, 1, item.overview, item.detail)
    assert [one.n for one in sorted(entries, key=lambda one: one.n)] == list(
        range(1, vault.state.n + 1)
    )
    removed = {one.item_id: one.n for one in entries if one.op == "remove"}
    assert {one.item_id: one.revision for one in rows(app, REMOVED)} == removed
    puts = {(one.item_id, one.n) for one in entries if one.op == "put"}
    assert {(one.item_id, one.revision) for one in versions} == {
        (item_id, n) for item_id, n in puts if item_id not in removed
    }
    assert (row.revision, row.head) == (vault.state.n, vault.state.head)
    assert row.active == sum(item.state == "active" for item in items)
    assert row.trash == sum(item.state == "trash" for item in items)
    assert row.item_bytes == sum(item.size for item in items)
    assert row.version_bytes == sum(version.size for version in versions)
