"""Parallel writers and readers of one vault, each on its own connection."""

from collections import Counter
from functools import partial
from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness.app_fixtures import signed_in
from tests.harness.threads import at_once
from tests.harness.vault_rows import assert_problem, rows
from tests.harness.vault_writer import VAULTS, NoPage, Writer
from vaultr.auth.models import Account
from vaultr.database.session import transaction
from vaultr.vault.models import ENTRIES, ITEMS, REMOVED, VERSIONS
from vaultr.vault.models import VAULTS as TABLE

pytestmark = pytest.mark.both_databases
WRITERS = 8


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


@pytest.fixture
def writers(app, vault):
    """Devices of Ann, each at the vault's current state."""

    def give(number=WRITERS):
        return [vault.twin(signed_in(app, "ann@example.org")) for _ in range(number)]

    return give


def rebased(writer, prepare):
    """Write like a client: if the head has changed, sync and prepare the write again."""
    while True:
        response = writer.send(prepare())
        if response.status_code != 409 or not response.json["type"].endswith("head-moved"):
            return response
        writer.sync()


def slugs(responses):
    return Counter(
        response.json["type"].rpartition(":")[2] if response.status_code >= 400 else "done"
        for response in responses
    )


def follow(vault):
    """Check the whole chain and the sum, from an empty state and without one."""
    vault.sync()
    assert vault.full().state.items == vault.state.items
    return vault.state


def test_one_of_many_puts_over_one_revision_succeeds(app, vault, writers, count):
    item_id = vault.put()
    devices = writers(count(WRITERS, many=100))

    requests = [device.put_request(item_id, str(n)) for n, device in enumerate(devices)]
    answers = at_once(lambda n: devices[n].ask(requests[n]), len(devices))

    assert slugs(answers) == {"done": 1, "precondition-failed": len(devices) - 1}
    assert [row.n for row in rows(app, ENTRIES)] == [1, 2]


def test_one_of_many_creations_of_one_item_succeeds(app, vault, writers):
    item_id, devices = uuid4(), writers()

    requests = [device.put_request(item_id, str(n)) for n, device in enumerate(devices)]
    answers = at_once(lambda n: devices[n].ask(requests[n]), WRITERS)

    assert slugs(answers) == {"done": 1, "precondition-failed": WRITERS - 1}
    assert len(rows(app, ITEMS)) == 1


@pytest.mark.parametrize("steps", [1, 3])
def test_concurrent_identical_writes_are_stored_once(app, vault, writers, steps):
    devices, puts = writers(), [("put", uuid4()) for _ in range(steps)]
    request = vault.put_request() if steps == 1 else vault.batch_request(*puts)

    answers = at_once(lambda n: devices[n].ask(request), WRITERS)

    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert vault.send(request).status_code < 300
    assert len(rows(app, ENTRIES)) == steps
    assert len([e for e in factories.events(app) if e["typ"] == "item.write"]) == 1


def test_rebasing_writers_lose_no_write(app, vault, writers, count):
    devices, each = writers(), count(6, many=40)

    def work(n):
        own = uuid4()
        for turn in range(each):
            if turn % 3 == 2:  # a batch between the single writes
                steps = [("put", own, str(turn)), ("trash", own), ("restore", own)]
                answer = rebased(devices[n], partial(devices[n].batch_request, *steps))
            else:
                answer = rebased(devices[n], partial(devices[n].put_request, own, str(turn)))
            assert answer.status_code < 300
        return own

    items = at_once(work, WRITERS)

    batches = each // 3
    state = follow(vault)
    assert state.items.keys() == {*items}
    assert state.n == WRITERS * (each - batches + 3 * batches)
    assert sorted(row.n for row in rows(app, ENTRIES)) == list(range(1, state.n + 1))


def test_quotas_hold_under_parallel_writers(app, vault, writers, set_to):
    set_to(app, quota_items=10)
    devices = writers(20)
    for _ in range(5):
        vault.put()

    answers = at_once(lambda n: rebased(devices[n], devices[n].put_request), 20)

    assert slugs(answers) == {"done": 5, "quota-exceeded": 15}
    assert len(rows(app, ITEMS)) == 10
    (row,) = rows(app, TABLE)
    assert row.active == 10
    assert row.item_bytes == sum(item.size for item in rows(app, ITEMS))


def test_readers_during_writes_reach_the_stored_state(app, vault, writers):
    devices, readers = writers(), writers(2)
    shared = [vault.put() for _ in range(6)]
    for device in (*devices, *readers):
        device.sync()

    def write(n):
        for turn in range(6):
            item_id = shared[(n + turn) % len(shared)]
            rebased_move(devices[n], item_id, turn)

    def read(n):
        for _ in range(12):
            readers[n].sync(limit=3)
            readers[n].full(limit=4)

    at_once(lambda n: write(n) if n < WRITERS else read(n - WRITERS), WRITERS + 2)

    state = follow(vault)
    for reader in readers:
        reader.sync()
        assert reader.state.items == state.items
    found = {row.id: (row.revision, row.content, row.state) for row in rows(app, ITEMS)}
    held = state.items.items()
    assert found == {item_id: (one.revision, one.content, one.state) for item_id, one in held}
    assert {row.item_id for row in rows(app, REMOVED)} == {*shared} - {*found}


def rebased_move(device, item_id, turn):
    """Change the item's state in a way that its current state allows, or leave it."""

    def prepare():
        held = device.state.items.get(item_id)
        if held is None:
            return device.put_request()
        if turn == 5:
            return device.move_request("remove", item_id)
        if held.state == "trash":
            return device.move_request("restore", item_id)
        return device.put_request(item_id) if turn % 2 else device.move_request("trash", item_id)

    for _ in range(100):
        response = device.send(prepare())
        if response.status_code < 300:
            return
        assert response.status_code in (404, 409, 412), response.json
        device.sync()
    raise AssertionError("no write got through")


def test_parallel_creates_with_one_id_make_one_vault(app, as_ann, as_bob):
    writer = Writer(as_ann)
    clients = [as_ann, as_bob] * 4

    answers = at_once(lambda n: clients[n].post(VAULTS, json=writer.creation()), len(clients))

    assert slugs(answers) == {"done": 1, "vault-exists": len(clients) - 1}
    assert len(rows(app, TABLE)) == 1


def test_vault_quota_holds_for_parallel_creates(app, as_ann, set_to):
    set_to(app, quota_vaults=3)
    clients = [signed_in(app, "ann@example.org") for _ in range(WRITERS)]

    answers = at_once(
        lambda n: clients[n].post(VAULTS, json=Writer(clients[n]).creation()), WRITERS
    )

    assert slugs(answers) == {"done": 3, "quota-exceeded": WRITERS - 3}


def test_account_can_be_deleted_during_writes(app, vault, writers):
    devices = writers(6)

    def work(n):
        if n == 6:
            with app.app_context(), transaction() as session:
                session.execute(sa.delete(Account).where(Account.id == vault.author_id))
            return []
        return [rebased_or_gone(devices[n]) for _ in range(5)]

    answers = [answer for some in at_once(work, 7) for answer in some]

    assert {answer.status_code for answer in answers} <= {201, 401, 404}
    for table in (TABLE, ITEMS, VERSIONS, ENTRIES):
        assert rows(app, table) == []
    assert_problem(vault.client.get(vault.path), 401, "unauthenticated")


def rebased_or_gone(device):
    try:
        return rebased(device, device.put_request)
    except NoPage as rejected:
        return rejected.response
