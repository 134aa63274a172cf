"""Transactions commit as a whole, join, use snapshots, and never upgrade late on SQLite."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from flask import current_app

from tests.harness.threads import at_once
from vaultr.database.base import Fact, Utc
from vaultr.database.session import (
    clear_fact_cache,
    db,
    fact,
    in_transaction,
    one_statement,
    reading,
    transaction,
)

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def here(app):
    with app.app_context():
        yield


def keep(name, value=b"x"):
    with transaction() as session:
        session.add(Fact(name=name, value=value))


def stored_names():
    with reading() as session:
        return set(session.scalars(sa.select(Fact.name)))


def in_threads(number, work):
    """Call ``work`` in other threads, each with its own session and connections."""
    app = current_app._get_current_object()

    def run(_):
        with app.app_context():
            return work()

    return at_once(run, number)


def elsewhere(work):
    [result] = in_threads(1, work)
    return result


def test_transaction_is_all_or_nothing():
    with transaction() as session:
        session.add(Fact(name="a", value=b"1"))
        assert in_transaction()
        assert elsewhere(stored_names) == set()

    assert not in_transaction()
    assert stored_names() == {"a"}


def fail_after_keeping(error=RuntimeError):
    with transaction() as session:
        session.add(Fact(name="a", value=b"1"))
        session.flush()
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_error_rolls_back_everything(error):
    with pytest.raises(error):
        fail_after_keeping(error)

    assert stored_names() == set()
    assert not in_transaction()


def test_inner_transaction_joins_the_outer_one():
    def both():
        with transaction():
            keep("inner")
            assert in_transaction()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        both()
    assert stored_names() == set()

    with transaction():
        keep("inner")
        keep("second")
    assert stored_names() == {"inner", "second"}


def pass_over_a_failure():
    with transaction():
        keep("before")
        with suppress(ValueError):
            fail_after_keeping(ValueError)


def test_failed_inner_transaction_rolls_back_the_outer_one():
    with pytest.raises(RuntimeError):
        pass_over_a_failure()

    assert stored_names() == set()
    keep("after")
    assert stored_names() == {"after"}


def test_session_is_usable_after_error_at_commit():
    def reject(_session):
        raise RuntimeError

    sa.event.listen(db.session, "before_commit", reject)
    try:
        with pytest.raises(RuntimeError):
            keep("a")
    finally:
        sa.event.remove(db.session, "before_commit", reject)

    keep("b")
    assert stored_names() == {"b"}


def test_duplicate_row_rolls_back_the_rest():
    keep("a")

    def again():
        with transaction():
            keep("b")
            keep("a")

    with pytest.raises(sa.exc.IntegrityError):
        again()
    assert stored_names() == {"a"}


def test_concurrent_read_and_update_transactions_are_serialised():
    """With a plain BEGIN, SQLite would fail, because another transaction has committed since."""
    keep("n", b"0")

    def add_one():
        with transaction() as session:
            row = session.get(Fact, "n", with_for_update=True)
            row.value = str(int(row.value) + 1).encode()

    in_threads(4, lambda: [add_one() for _ in range(10)])

    with reading() as session:
        assert session.get(Fact, "n").value == b"40"


def test_snapshot_does_not_see_later_commits():
    keep("a")

    with reading(snapshot=True) as session:
        before = set(session.scalars(sa.select(Fact.name)))
        elsewhere(lambda: keep("b"))
        after = set(session.scalars(sa.select(Fact.name)))

    assert before == after == {"a"}
    assert stored_names() == {"a", "b"}


def change(name, value):
    with transaction() as session:
        session.get(Fact, name).value = value


def test_loaded_rows_can_be_used_afterwards_without_query():
    keep("a", b"1")

    with reading() as session:
        row = session.get(Fact, "a")
    requested = []
    sa.event.listen(
        db.engine, "before_cursor_execute", lambda *provided: requested.append(provided)
    )

    assert row.value == b"1"
    assert requested == []
    assert sa.inspect(row).detached


def test_reading_leaves_no_transaction_open(app):
    stored_names()

    assert db.engine.pool.checkedout() == 0


def test_transaction_sees_commits_since_last_read():
    keep("a", b"1")
    row = db.session.get(Fact, "a")
    assert row.value == b"1"
    db.session.rollback()

    elsewhere(lambda: change("a", b"2"))

    with transaction() as session:
        assert session.get(Fact, "a").value == b"2"


def test_single_statement_is_committed_immediately():
    insert = sa.text("INSERT INTO facts (name, value) VALUES (:name, :value)")
    with one_statement() as connection:
        connection.execute(insert, {"name": "a", "value": b"1"})
        assert elsewhere(stored_names) == {"a"}
        connection.execute(insert, {"name": "b", "value": b"1"})

    assert stored_names() == {"a", "b"}


def test_failed_statement_does_not_affect_next_one():
    with pytest.raises(sa.exc.DBAPIError), one_statement() as connection:
        connection.execute(sa.text("SELECT nothing FROM nowhere"))

    with one_statement() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


def test_random_fact_is_generated_once():
    drawn = iter(bytes([n]) for n in range(9))
    values = set(in_threads(8, lambda: fact("key", lambda: next(drawn))))
    clear_fact_cache()

    assert len(values) == 1
    assert fact("key", lambda: b"other") in values


def test_fact_of_rolled_back_transaction_is_generated_again():
    def undone():
        with transaction():
            assert fact("key", lambda: b"first") == b"first"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        undone()

    assert fact("key", lambda: b"second") == b"second"


def test_times_are_stored_in_utc_and_naive_ones_rejected():
    moment = datetime(2026, 11, 24, 10, 30, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    column = sa.literal(moment, Utc())
    with reading() as session:
        read = session.scalar(sa.select(sa.cast(column, Utc()) if not sqlite() else column))

    assert read == moment
    assert read.tzinfo is UTC
    with pytest.raises(sa.exc.StatementError):
        db.session.scalar(sa.select(sa.literal(moment.replace(tzinfo=None), Utc())))
    db.session.rollback()


def sqlite():
    return db.engine.dialect.name == "sqlite"
