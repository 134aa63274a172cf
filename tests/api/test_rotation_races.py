"""Key rotations during parallel writes: edits use the new keys or get an error."""

from collections import Counter
from functools import partial
from uuid import uuid4

import pytest

from tests.harness.app_fixtures import signed_in
from tests.harness.concurrent_writers import slug
from tests.harness.threads import at_once
from tests.harness.vault_rows import rows
from tests.harness.vault_writer import Writer
from vaultr.vault.models import ENTRIES, ITEMS, VAULT_KEYS, VAULTS

pytestmark = pytest.mark.both_databases
MOVED = {"head-moved", "generation-moved", "precondition-failed"}


@pytest.fixture
def vault(app, as_ann):
    return Writer(as_ann).create()


@pytest.fixture
def devices(app, vault):
    """Devices of Ann with the keys of the next generation, available after their next sync."""

    def give(number):
        return [vault.twin(signed_in(app, "ann@example.org")) for _ in range(number)]

    return give


def until_done(device, prepare, seen):
    """Write with rebasing like a client; count the errors."""
    while True:
        answer = device.send(prepare())
        seen[slug(answer)] += 1
        if slug(answer) not in MOVED:
            return answer
        device.sync()


def edit(device, item_id, turns, seen):
    """Put one item repeatedly, with rebasing."""
    for turn in range(turns):
        answer = until_done(device, partial(device.put_request, item_id, str(turn)), seen)
        assert answer.status_code == 200, answer.json


def rotate(device, begin, seen):
    """Rotate the keys like a client: begin, reseal the rest, finish, and check again."""
    prepared = iter([begin])
    until_done(device, lambda: next(prepared, None) or device.rotation_request_again(), seen)
    until_done(device, partial(device.rename_request, "moved"), seen)
    while True:
        items = device.state.items.items()
        for item_id in [one for one, held in items if held.generation < device.generation]:
            until_done(device, partial(device.put_request, item_id, "moved"), seen)
        if until_done(device, device.finish_request, seen).status_code == 200:
            return
        device.sync()


def test_edits_during_rotation_use_new_keys_or_are_rejected(app, vault, devices, count):
    items = [vault.put() for _ in range(5)]
    *writers, rotator = devices(6)
    for device in (*writers, rotator):
        device.sync()
    begin = rotator.rotation_request()
    for device in (vault, *writers):
        device.keys = rotator.keys
    seen, turns = Counter(), count(6, many=60)

    at_once(
        lambda n: (
            edit(writers[n], items[n], turns, seen) if n < 5 else rotate(rotator, begin, seen)
        ),
        6,
    )

    assert seen.keys() <= {"done", *MOVED, "rotation-incomplete"}
    vault.sync()
    assert vault.full().state.items == vault.state.items
    assert {row.generation for row in rows(app, ITEMS)} == {2}
    (row,) = rows(app, VAULTS)
    assert (row.generation, bool(row.rotating), row.active) == (2, False, 5)
    numbers = sorted(row.n for row in rows(app, ENTRIES))
    assert numbers == list(range(1, vault.state.n + 1))


def test_one_of_many_concurrent_rotations_begins(app, vault, devices):
    vault.put()
    beginners = devices(6)
    for device in beginners:
        device.sync()
    requests = [device.rotation_request() for device in beginners]

    answers = at_once(lambda n: slug(beginners[n].ask(requests[n])), 6)

    assert Counter(answers) == {"done": 1, "generation-moved": 5}
    assert sorted(row.generation for row in rows(app, VAULT_KEYS)) == [1, 2]
    assert len([row for row in rows(app, ENTRIES) if row.op == "rotate-begin"]) == 1


def test_concurrent_identical_rotation_requests_begin_one_rotation(app, vault, devices):
    request, twins = vault.rotation_request(), devices(6)

    answers = at_once(lambda n: twins[n].ask(request), 6)

    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert answers[0].status_code == 200
    assert sorted(row.generation for row in rows(app, VAULT_KEYS)) == [1, 2]


def test_rotation_ends_once_and_put_under_old_keys_fails(app, vault, devices):
    item_id = vault.put()
    vault.rotate()
    vault.done(vault.rotation_request())
    vault.done(vault.rename_request("moved"))
    vault.put(item_id)
    enders = devices(6)
    requests = [device.finish_request() for device in enders]
    stale = vault.twin().put_request(uuid4()).but(generation=2)

    answers = at_once(
        lambda n: slug(enders[n].ask(requests[n])) if n < 6 else slug(vault.ask(stale)), 7
    )

    assert answers[6] == "generation-moved"
    assert Counter(answers[:6]) <= Counter({"done": 6, "conflict": 6, "head-moved": 6})
    assert len([row for row in rows(app, ENTRIES) if row.op == "rotate-end"]) == 2
