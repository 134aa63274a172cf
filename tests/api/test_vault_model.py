"""Random histories of a vault: readers that fetch pages between writes get the stored data.

Hypothesis generates the histories: writes of every kind, lost responses, rejected writes, key
rotations, and two readers, one of deltas and one of the full set, which fetch their next page at
any time.
"""

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.harness.vault_rows import rows
from tests.harness.vault_writer import Writer
from vaultr.client.log.pages import gather
from vaultr.client.log.verify import take_delta, take_full
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import item_content
from vaultr.vault.models import ENTRIES, ITEMS, REMOVED, VAULT_KEYS, VAULTS, VERSIONS

pytestmark = pytest.mark.both_databases
SLOTS = 6
STEPS = [(op, slot) for op in ("put", "put", "move", "remove") for slot in range(SLOTS)]
steps = st.sampled_from(STEPS)
lengths = st.integers(0, 300)
limits = st.sampled_from([1, 2, 3, 500])


class Reader:
    """A device that fetches one page at a time, with any writes in between."""

    def __init__(self, writer, *, full):
        self.writer, self.full = writer.twin(), full
        self.pages = []

    def next_page(self, limit):
        since = 0 if self.full else self.writer.state.n
        place = self.pages[-1]["through"] if self.pages else since
        query = f"since={place}" if since else f"since=0&after={place}"
        answer = self.writer.client.get(f"{self.writer.path}/sync?limit={limit}&{query}")
        assert answer.status_code == 200, answer.json
        self.pages.append(answer.json)
        if not answer.json["more"]:
            self._judge(since)

    def _judge(self, since):
        shown = gather(self.writer.id, iter(self.pages), since=since)
        keys, self.pages = self.writer.keys, []
        if since:
            synced = take_delta(self.writer.state, shown, keys, None)
        else:
            synced = take_full(shown, keys, None)
        self.writer.state = synced.state

    def to_the_end(self, limit):
        self.next_page(limit)
        while self.pages:
            self.next_page(limit)


class Life(RuleBasedStateMachine):
    """The history of one vault on one of the two databases."""

    def __init__(self, app, client):
        super().__init__()
        self.app = app
        self.vault = Writer(client).create()
        self.ids = [uuid4() for _ in range(SLOTS)]
        self.sent = []
        self.readers = [Reader(self.vault, full=False), Reader(self.vault, full=True)]

    @rule(step=steps, length=lengths)
    def writes_once(self, step, length):
        made = self._steps([step], length)
        op, item_id, *text = made[0]
        if len(made) > 1:  # restored under old keys, which is rejected on its own
            rejected = self.vault.ask(self.vault.move_request(op, item_id))
            assert rejected.json["type"].endswith(":generation-moved")
            self._send(self.vault.batch_request(*made))
        elif op == "put":
            self._send(self.vault.put_request(item_id, *text))
        else:
            self._send(self.vault.move_request(op, item_id))

    @rule(chosen=st.lists(steps, min_size=1, max_size=10), length=lengths)
    def writes_a_batch(self, chosen, length):
        self._send(self.vault.batch_request(*self._steps(chosen, length)))

    @rule(name=st.text("abc", max_size=40))
    def renames(self, name):
        self._send(self.vault.rename_request(name))

    @rule()
    def repairs(self):
        self._send(self.vault.repair_request())

    @precondition(lambda self: self.vault.generation < 3)
    @rule()
    def begins_to_rotate(self):
        self._send(self.vault.rotation_request())
        for reader in self.readers:
            reader.writer.keys = self.vault.keys

    @rule()
    def moves_and_finishes(self):
        left = [
            item_id
            for item_id, held in self.vault.state.items.items()
            if held.state == "active" and held.generation < self.vault.generation
        ]
        running = self.vault.client.get(f"{self.vault.path}/rotation").json
        assert running["left"]["items"] == len(left)
        if not running["rotating"]:
            return
        if left:
            self._send(self.vault.batch_request(*(("put", one, "moved") for one in left)))
        if running["left"]["overview"]:
            self._send(self.vault.rename_request("moved"))
        self._send(self.vault.finish_request())

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def loses_an_answer(self, data):
        request, first = data.draw(st.sampled_from(self.sent))
        again = self.vault.ask(request)
        assert again.status_code == first.status_code
        assert again.headers.get("ETag") == first.headers.get("ETag")
        assert again.json["head"] == first.json["head"]

    @rule()
    def write_is_rejected(self):
        request = self.vault.repair_request()
        answer = self.vault.ask(request.but(entry={"prev": b64(bytes(32)), "mac": b64(bytes(32))}))
        assert answer.status_code == 409

    @rule(number=st.integers(0, 1), limit=limits)
    def reads_a_page(self, number, limit):
        self.readers[number].next_page(limit)

    def teardown(self):
        for reader in self.readers:
            reader.to_the_end(3)
            if reader.writer.state.n < self.vault.state.n:  # it had begun before the last writes
                reader.to_the_end(500)
            assert reader.writer.state.waypoint == self.vault.state.waypoint
            assert reader.writer.state.items == self.vault.state.items
        assert self.vault.full(limit=4).state.items == self.vault.state.items
        check_tables(self.app, self.vault)
        assert self.vault.client.delete(self.vault.path).status_code == 204
        assert rows(self.app, ENTRIES, vault_id=self.vault.id) == []

    def _send(self, request):
        answer = self.vault.send(request)
        assert answer.status_code in (200, 201), answer.json
        self.sent.append((request, answer))

    def _steps(self, chosen, length):
        """Return the possible actions on these items in their current state."""
        held = self.vault.state.items
        states = {item_id: (one.state, one.generation) for item_id, one in held.items()}
        newest, made = self.vault.generation, []
        for op, slot in chosen:
            item_id = self.ids[slot]
            state, generation = states.get(item_id, (None, newest))
            if state is None or (op == "put" and state == "active"):
                made.append(("put", item_id, "x" * length))
                states[item_id] = ("active", newest)
            elif op == "remove":
                made.append(("remove", item_id))
                del states[item_id]
                self.ids[slot] = uuid4()  # a removed id is never reused
            elif state == "active":
                made.append(("trash", item_id))
                states[item_id] = ("trash", generation)
            else:
                moves = [("put", item_id, "moved")] if generation < newest else []
                made += [("restore", item_id), *moves]
                states[item_id] = ("active", newest)
        return made


def check_tables(app, vault):
    """Compare all rows of one vault with its writer's state."""
    of_it = {"vault_id": vault.id}
    items, versions, entries, removals = (
        rows(app, table, **of_it) for table in (ITEMS, VERSIONS, ENTRIES, REMOVED)
    )
    (row,) = rows(app, VAULTS, id=vault.id)
    assert {
        one.id: (one.revision, one.content_revision, one.generation, one.state, one.content)
        for one in items
    } == {
        item_id: (one.revision, one.content_revision, one.generation, one.state, one.content)
        for item_id, one in vault.state.items.items()
    }
    for one in items:
        assert one.content == item_content(one.type, one.generation, one.overview, one.detail)
    assert sorted(one.n for one in entries) == list(range(1, vault.state.n + 1))
    removed = {one.item_id: one.n for one in entries if one.op == "remove"}
    assert {one.item_id: one.revision for one in removals} == removed
    puts = {(one.item_id, one.n) for one in entries if one.op == "put"}
    assert {(one.item_id, one.revision) for one in versions} == {
        (item_id, n) for item_id, n in puts if item_id not in removed
    }
    assert (row.revision, row.head) == (vault.state.n, vault.state.head)
    assert row.generation == vault.generation
    assert len(rows(app, VAULT_KEYS, **of_it)) == vault.generation
    assert row.active == sum(one.state == "active" for one in items)
    assert row.trash == sum(one.state == "trash" for one in items)
    assert row.item_bytes == sum(one.size for one in items)
    assert row.version_bytes == sum(version.size for version in versions)


def test_readers_get_the_stored_state_in_random_histories(app, as_ann, set_to, count):
    plenty = "1000000/60"
    set_to(app, limit_writes=plenty, limit_reads=plenty, limit_changes=plenty)
    examples = settings(
        max_examples=count(6, many=150),
        stateful_step_count=count(25, many=40),
        deadline=None,
        derandomize=True,
        print_blob=False,
        phases=[Phase.generate, *count([], many=[Phase.shrink])],
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(lambda: Life(app, as_ann), settings=examples)
