"""The stream for a SIEM: no event is lost, and possible repetitions are marked."""

import contextlib
import io
import json

import pytest
import sqlalchemy as sa

from tests.harness import audit_log
from vaultr.audit import sequencer, service, state_file, stream, stream_position
from vaultr.audit.events import Event
from vaultr.audit.stream_position import Position
from vaultr.database.base import Fact
from vaultr.database.session import transaction

pytestmark = pytest.mark.both_databases


class Receiver(io.StringIO):
    """A stdout that accepts a number of lines, and fails during the next one."""

    def __init__(self, lines=1000, then=None):
        super().__init__()
        self.left, self.then = lines, then

    def flush(self):
        self.left -= 1
        if self.left == -1:
            raise BrokenPipeError

    def places(self, *, marked=None):
        shown = [json.loads(line) for line in self.getvalue().split("\n") if line]
        return [one["index"] for one in shown if marked in (None, one.get("again", False))]


class Paused(Receiver):
    """A receiver that lets another process work while it receives its next line."""

    def flush(self):
        self.left -= 1
        if self.left == -1:
            self.then()


@pytest.fixture
def site(here, set_to):
    """A server with a stream, and seven events that are not written yet."""
    with transaction():
        for _ in range(5):
            service.record(Event.ITEM_WRITE, account_id=None)
    audit_log.sequence_all()
    set_to(here, audit_stream="stdout")
    return here


def write(receiver):
    with contextlib.redirect_stdout(receiver):
        stream.run()
    return receiver


def test_reconnected_receiver_gets_only_last_line_again(site):
    first = write(Receiver(3))

    second = write(Receiver())

    assert first.places() == [0, 1, 2, 3]  # it is unknown whether the last line arrived
    assert second.places(marked=True) == [3]
    assert second.places() == [3, 4, 5, 6]
    assert second.getvalue().startswith("\n")
    assert write(Receiver()).getvalue() == ""


def test_repeated_line_is_marked_until_it_is_written(site):
    write(Receiver(3))
    write(Receiver(0))  # fails before its first line
    sequencer.forget()

    last = write(Receiver())

    assert last.places(marked=True) == [3]
    assert last.places() == [3, 4, 5, 6]


@pytest.mark.parametrize("left", ["", "{}", '{"batches": ["other"], "place": [1, 2]}'])
def test_lost_position_marks_whole_batch_as_repeated(site, left):
    write(Receiver(3))
    stream_position.path().write_text(left)

    last = write(Receiver())

    assert last.places(marked=True) == [0, 1, 2, 3, 4, 5, 6]
    assert last.places(marked=False) == []


def test_stream_of_restored_database_is_marked(site):
    whole = write(Receiver())
    with transaction() as session:
        values = {"value": json.dumps([1, 2]).encode()}
        session.execute(sa.update(Fact).where(Fact.name == "audit/stream").values(values))

    again = write(Receiver())

    assert whole.places(marked=False) == [0, 1, 2, 3, 4, 5, 6]
    assert again.places(marked=True) == again.places() == [3, 4, 5, 6]


def test_second_process_writes_nothing_while_first_is_paused(site):
    others = Receiver()
    paused = Paused(2, lambda: write(others))

    write(paused)

    assert others.getvalue() == ""
    assert paused.places(marked=False) == [0, 1, 2, 3, 4, 5, 6]


def test_second_process_with_separate_disk_marks_its_lines(site, monkeypatch):
    others = Receiver()

    def continue_elsewhere():
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(state_file, "path", lambda: None)
            write(others)

    paused = Paused(2, continue_elsewhere)
    write(paused)

    assert others.places(marked=True) == [0, 1, 2, 3, 4, 5, 6]
    assert paused.places(marked=False) == [0, 1, 2, 3, 4, 5, 6]
    assert write(Receiver()).getvalue() == ""


def test_stream_without_state_file_loses_nothing(site, monkeypatch):
    monkeypatch.setattr(state_file, "path", lambda: None)
    write(Receiver(3))

    last = write(Receiver())

    assert last.places(marked=True) == [0, 1, 2, 3, 4, 5, 6]


def test_stored_position_is_read_back_unchanged(site):
    with stream_position.opened() as file:
        file.write(Position(("one", "two"), (2**40, 2**62)))

        assert file.read() == Position(("one", "two"), (2**40, 2**62))
    assert stream_position.path().stat().st_mode & 0o777 == 0o600
