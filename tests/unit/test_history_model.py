"""Every genuine history is accepted; every changed one is rejected."""

import copy
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.client.sample_device import Device
from tests.harness.client.sample_vault import IDS, put, rename
from vaultr.client.errors import IntegrityError
from vaultr.client.log.append import Change

# Values that a server may choose, because nothing depends on them.
UNPROVEN = {"size", "created_at", "updated_at", "role", "rotating", "counts", "active", "trash"}

STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=25)
QUIET = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def step(device, gone, act, place):
    """Choose a change that the vault's current state allows."""
    item_id = IDS[place]
    held = device.state.items.get(item_id)
    if act == 0:
        return rename(device, f"name {device.state.n}")
    if act == 1:
        return Change.rotate_begin()
    if held is None:
        return Change.repair() if item_id in gone else put(device, item_id)
    if act == 2:
        gone.add(item_id)
        return Change.remove(item_id)
    if held.state == "trash":
        return Change.restore(item_id)
    return Change.trash(item_id) if act in (3, 4) else put(device, item_id, f"{device.state.n}")


def write_history(steps):
    """Write a history, and save copies of devices and servers on the way."""
    ann, server = Device.with_new_vault()
    gone, met = set(), [ann.twin()]
    for act, place in steps:
        ann.write(server, step(ann, gone, act, place))
        met.append(ann.twin())
    return ann, server, met


@QUIET
@given(STEPS, st.integers(1, 30), st.randoms(use_true_random=False))
def test_synced_device_has_the_state_of_the_writer(steps, limit, chance):
    ann, server, met = write_history(steps)
    held, known = chance.choice(met), chance.choice(met).state.waypoint

    held.sync(server, known, limit)
    new = Device()
    new.sync(server, known, limit)

    for state in (held.state, new.state):
        assert (state.n, state.head, state.total) == (ann.state.n, ann.state.head, ann.state.total)
        assert (state.items, state.overview) == (ann.state.items, ann.state.overview)


def places(value, path=()):
    """Yield the path to each member of ``value``, at any depth."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in members:
        if name in UNPROVEN:
            continue
        yield (*path, name)
        if isinstance(member, dict | list):
            yield from places(member, (*path, name))


def spoil(answers, chance):
    """Change one thing in the responses: omit, repeat, exchange, or replace it."""
    path = chance.choice(list(places(answers)))
    inside = answers
    for name in path[:-1]:
        inside = inside[name]
    name, value = path[-1], inside[path[-1]]
    if isinstance(inside, list) and chance.random() < 0.5:
        if chance.random() < 0.5:
            del inside[name]
        else:
            inside.insert(chance.randrange(len(inside) + 1), copy.deepcopy(value))
    else:
        inside[name] = _another(value, chance)


def _another(value, chance):
    match value:
        case bool():
            return not value
        case int():
            return chance.choice([value + 1, max(0, value - 1), chance.randrange(40)])
        case str() if value:
            at = chance.randrange(len(value))
            return value[:at] + chance.choice("0aAfbQ_") + value[at + 1 :]
        case list() | dict() if value:
            return type(value)()
    return chance.choice([None, 0, "", [], {}])


@settings(QUIET, max_examples=150)
@given(STEPS, st.integers(1, 30), st.integers(0, 2**32), st.booleans())
def test_one_changed_member_is_rejected_or_changes_nothing(steps, limit, seed, is_new):
    chance = random.Random(seed)
    ann, server, met = write_history(steps)
    device = Device() if is_new else chance.choice(met[1:])
    answers = server.sync(0 if is_new else device.state.n, limit)
    honest = copy.deepcopy(answers)
    spoil(answers, chance)

    try:
        synced = device.judge(answers)
    except IntegrityError:
        return

    state = synced.state
    assert (state.n, state.head) == (ann.state.n, ann.state.head)
    assert sealed_of(synced.rows.values()) == sealed_of(
        each for page in honest for each in page["items"] if each["id"] in rows_of(synced)
    )
    assert {each: contents(held) for each, held in state.items.items()} == {
        each: contents(held) for each, held in ann.state.items.items()
    }


def rows_of(synced):
    return {str(item_id) for item_id in synced.rows}


def sealed_of(items):
    """Return the sealed parts; if an id is on two pages, the later one counts."""
    return {each["id"]: (each["overview"], each["detail"]) for each in items}


def contents(held):
    """Return what even a full set proves about an item: everything but its revision."""
    return (held.content_revision, held.generation, held.type, held.content, held.state)
