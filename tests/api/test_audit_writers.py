"""What happens to a transaction's writer depends on how the transaction ends."""

import contextlib
from uuid import uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests.harness import app_fixtures, audit_log
from vaultr.audit import service
from vaultr.audit.errors import AuditUnavailable
from vaultr.audit.events import Event
from vaultr.database.base import Fact
from vaultr.database.session import db, in_transaction, one_statement, transaction

ANN = uuid4()


@pytest.fixture
def postgres(postgres_app):
    app_fixtures.empty(postgres_app)
    with postgres_app.app_context():
        yield postgres_app


def record():
    with transaction():
        return service.record(Event.VAULT_CREATE, account_id=ANN)


def lose_a_commit(act):
    """Record an event, and call ``act`` with the driver's connection just before COMMIT is sent."""

    def before_commit(connection):
        act(connection.connection.dbapi_connection)

    sa.event.listen(db.engine, "commit", before_commit)
    try:
        with pytest.raises(sa.exc.OperationalError):
            record()
    finally:
        sa.event.remove(db.engine, "commit", before_commit)


def end_from_outside(connection):
    with db.engine.connect() as other:
        other.execute(
            sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": connection.info.backend_pid}
        )


def test_lost_commit_ends_chain_as_unknown(postgres):
    first = record()
    lose_a_commit(end_from_outside)
    third = record()

    events = audit_log.events()
    [_, (_, predecessor, end)] = audit_log.starts()
    assert [event.event_id for event in events] == [first, third]
    assert (predecessor, end) == (events[0].writer_id.hex(), "unknown")


def test_lost_commit_response_ends_chain_as_unknown(postgres):
    def commit_and_lose_the_answer(connection):
        with connection.cursor() as cursor:
            cursor.execute("COMMIT")  # the driver does not notice, and will send its own
        end_from_outside(connection)

    record()
    lose_a_commit(commit_and_lose_the_answer)
    record()

    assert [event.writer_seq for event in audit_log.events()] == [1, 2, 1]
    assert [end for _, _, end in audit_log.starts()] == [None, "unknown"]


def test_lost_connection_ends_chains_of_all_its_writers(postgres):
    record()
    with transaction():
        service.record(Event.VAULT_CREATE, account_id=ANN)
        with postgres.app_context():
            record()
    with contextlib.suppress(sa.exc.OperationalError), transaction() as session:
        end_from_outside(session.connection().connection.dbapi_connection)
        session.execute(sa.text("SELECT 1"))
    record()

    assert [end for _, _, end in audit_log.starts()] == [None, None, "unknown"]


def test_commit_after_swallowed_statement_error_fails(postgres):
    """PostgreSQL then answers COMMIT with ROLLBACK, and the driver reports no error."""

    def swallow():
        with transaction() as session:
            service.record(Event.VAULT_CREATE, account_id=ANN)
            with contextlib.suppress(sa.exc.ProgrammingError):
                session.execute(sa.text("SELECT 1 FROM nothing"))

    record()
    with pytest.raises(RuntimeError, match="has failed"):
        swallow()
    record()

    assert [event.writer_seq for event in audit_log.events()] == [1, 2]


def test_commit_rejected_by_constraint_leaves_no_gap_in_chain(here):
    record()
    with contextlib.suppress(sa.exc.IntegrityError), transaction() as session:
        service.record(Event.VAULT_CREATE, account_id=ANN)
        session.add(Fact(name="audit-origin", value=b""))
    record()

    assert [event.writer_seq for event in audit_log.events()] == [1, 2]
    assert len(audit_log.starts()) == 1


def test_new_month_starts_new_chain(here):
    with time_machine.travel("2026-11-30T23:59:59Z"):
        record()
    with time_machine.travel("2026-12-01T00:00:01Z"):
        record()

    first, second = audit_log.events()
    assert (first.epoch, second.epoch) == (202611, 202612)
    assert audit_log.starts()[1][1:] == (first.writer_id.hex(), "clean")


def test_event_times_increase_when_the_clock_goes_back(here):
    with time_machine.travel("2026-11-24T12:00:00Z", tick=False):
        record()
        record()
    with time_machine.travel("2026-11-24T11:00:00Z", tick=False):
        record()

    assert [event.t.microsecond for event in audit_log.events()] == [1, 2, 3]


def test_stopped_writer_records_stop_event(here):
    record()

    service.stop()
    record()

    assert [event.typ for event in audit_log.events()][1] == Event.WRITER_STOP
    assert audit_log.starts()[1][1] is None


def hot(found, *, more=""):
    """Record in a separate statement, like a frequent read."""
    with (
        service.prepared(Event.ITEM_READ, account_id=ANN, obj={"kind": "items"}) as ready,
        one_statement() as connection,
    ):
        statement = (
            "WITH gate AS (SELECT 1 WHERE :found), "
            f"{ready.ctes('gate')} SELECT EXISTS (SELECT 1 FROM pend) {more}"
        )
        answer = connection.execute(sa.text(statement), {"found": found, **ready.parameters})
        ready.done(inserted=answer.scalar_one())
        return ready.event_id


def test_fast_read_records_event_in_its_own_statement(postgres):
    record()
    event_id = hot(True)
    record()

    events = audit_log.events()
    assert events[1].event_id == event_id
    assert [event.writer_seq for event in events] == [1, 2, 3]


def test_fast_read_can_be_first_event_of_process(postgres):
    event_id = hot(True)

    assert [event.event_id for event in audit_log.events()] == [event_id]
    assert not in_transaction()


def test_fast_read_without_result_records_no_event(postgres):
    hot(True)
    hot(False)
    hot(True)

    assert [event.writer_seq for event in audit_log.events()] == [1, 2]


def test_fast_read_rejected_by_database_leaves_no_gap(postgres):
    hot(True)
    with pytest.raises(AuditUnavailable):
        hot(True, more=", 1 / (SELECT 0)")
    hot(True)

    assert [event.writer_seq for event in audit_log.events()] == [1, 2]
    assert len(audit_log.starts()) == 1


def test_fast_read_with_unknown_outcome_ends_chain(postgres):
    hot(True)
    with pytest.raises(ZeroDivisionError), service.prepared(Event.ITEM_READ, account_id=ANN):
        raise ZeroDivisionError
    hot(True)

    assert [event.writer_seq for event in audit_log.events()] == [1, 1]
    assert [end for _, _, end in audit_log.starts()] == [None, "unknown"]
