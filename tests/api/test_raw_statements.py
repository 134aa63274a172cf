"""Statements that bypass SQLAlchemy: pool, errors, and clean connections afterwards."""

import psycopg2
import pytest
import sqlalchemy as sa

from tests.harness import app_fixtures, servers
from tests.harness.app_fixtures import built, environ_for
from vaultr.database import engine, prepared_statements, raw_driver
from vaultr.database.session import AUTOCOMMIT, transaction

NAMES = "SELECT name FROM pg_prepared_statements WHERE %(x)s = %(x)s"


@pytest.fixture
def app(postgres_app):
    app_fixtures.empty(postgres_app)
    with postgres_app.app_context():
        yield postgres_app


def checked_out(app):
    return AUTOCOMMIT.get(app).pool.checkedout()


def test_rows_are_named_and_values_bound(app):
    rows = raw_driver.run("SELECT %(a)s::int AS a, %(b)s::text AS b", {"a": 7, "b": "it's", "c": 1})

    assert [(row.a, row.b) for row in rows] == [(7, "it's")]
    assert rows.one() == (7, "it's")
    assert checked_out(app) == 0


def test_statement_is_prepared_once_per_connection(app):
    AUTOCOMMIT.get(app).dispose()  # so that everything uses the same connection
    for number in range(3):
        raw_driver.run("SELECT %(n)s::int + 1000 AS n", {"n": number})

    known = raw_driver.run("SELECT statement FROM pg_prepared_statements", {})
    assert sum("+ 1000 AS n" in row.statement for row in known) == 1


def test_failed_statement_raises_sqlalchemy_error_and_keeps_connection(app):
    with pytest.raises(sa.exc.DataError) as caught:
        raw_driver.run("SELECT 1 / %(n)s::int AS secret", {"n": 0})

    assert caught.value.orig.pgcode == "22012"
    assert not caught.value.connection_invalidated
    assert "{'n'" not in str(caught.value)
    assert raw_driver.run("SELECT 1 AS one", {}).one().one == 1
    assert checked_out(app) == 0


def test_lost_connection_is_dropped_and_next_statement_gets_another(app):
    dropped = []
    sa.event.listen(AUTOCOMMIT.get(app), "invalidate", lambda *body: dropped.append(body))

    with pytest.raises(sa.exc.OperationalError) as caught:
        raw_driver.run("SELECT pg_terminate_backend(pg_backend_pid()) AS ended", {})

    assert caught.value.connection_invalidated
    assert len(dropped) == 1
    assert raw_driver.run("SELECT 1 AS one", {}).one().one == 1
    assert checked_out(app) == 0


def test_statement_inside_transaction_is_rolled_back_with_it(app):
    insert = "INSERT INTO facts (name, value) VALUES (%(name)s, '\\x01')"
    count = "SELECT 1; SELECT count(*) FROM facts WHERE name = 'one'"
    inside = []

    def write_and_fail():
        with transaction() as session:
            connection = session.connection()
            inside.append(raw_driver.run_within(connection, insert, {"name": "one"}))
            inside.append(raw_driver.run_within(connection, count, {}).scalar_one())
            raise LookupError

    with pytest.raises(LookupError):
        write_and_fail()

    assert inside == [[], 1]
    assert raw_driver.run(count.partition("; ")[2], {}).scalar_one() == 0


def test_failed_script_rolls_back_only_its_transaction(app):
    with pytest.raises(sa.exc.IntegrityError), transaction() as session:
        raw_driver.run_within(
            session.connection(), "INSERT INTO facts (name) VALUES (%(n)s)", {"n": "x"}
        )
    with transaction() as session:
        assert raw_driver.run_within(session.connection(), "SELECT 1 AS one", {}).scalar_one() == 1


def test_connection_lost_inside_transaction_is_dropped(app):
    with pytest.raises(sa.exc.OperationalError) as caught, transaction() as session:
        raw_driver.run_within(
            session.connection(), "SELECT pg_terminate_backend(pg_backend_pid())", {}
        )

    assert caught.value.connection_invalidated
    with transaction() as session:
        assert raw_driver.run_within(session.connection(), "SELECT 1 AS one", {}).scalar_one() == 1


def test_silent_database_is_abandoned(app):
    assert raw_driver.run("SELECT 1 AS one", {}).one().one == 1  # it is connected before
    limit = engine.deadline.set(0.2)
    try:
        with pytest.raises(sa.exc.OperationalError) as caught:
            raw_driver.run("SELECT pg_sleep(3)", {})
    finally:
        engine.deadline.reset(limit)

    assert caught.value.connection_invalidated
    assert raw_driver.run("SELECT 1 AS one", {}).one().one == 1


def test_no_statement_is_prepared_with_prepare_off(postgres_url, tmp_path):
    url = servers.fresh_database(postgres_url)
    app = built(environ_for(tmp_path, DATABASE_URL=f"{url}?prepare=off"))

    with app.app_context():
        assert not prepared_statements.ALLOWED.get(app)
        assert raw_driver.run(NAMES, {"x": 1}) == []
        AUTOCOMMIT.get(app).dispose()


def test_unreachable_database_invalidates_the_connection(tmp_path, postgres_url):
    url = servers.fresh_database(postgres_url)
    app = built(environ_for(tmp_path, DATABASE_URL=url))
    single = AUTOCOMMIT.get(app)
    with app.app_context():
        sa.event.listen(single, "do_connect", _reject)
        with pytest.raises(sa.exc.OperationalError) as caught:
            raw_driver.run("SELECT 1", {})

    assert caught.value.connection_invalidated


def _reject(*_):
    raise psycopg2.OperationalError("connection refused")
