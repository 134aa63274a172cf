"""Statements are prepared once per connection, and also work unprepared."""

import pytest
import sqlalchemy as sa

from tests.harness import servers
from tests.harness.app_fixtures import built, environ_for
from vaultr.database.prepared_statements import PLANNED
from vaultr.database.session import one_statement, transaction


@pytest.fixture
def prepared(postgres_app):
    """``prepared(connection)``: return the names of the connection's prepared statements."""

    def names(connection):
        rows = connection.connection.driver_connection.cursor()
        rows.execute("SELECT name, statement FROM pg_prepared_statements")
        return dict(rows.fetchall())

    with postgres_app.app_context():
        yield names


def test_single_statement_is_prepared_once(prepared):
    statement = sa.text("SELECT name FROM facts WHERE name = :name AND 'a%b' LIKE 'a%'")

    with one_statement() as connection:
        for name in ("one", "two", "three"):
            connection.execute(statement, {"name": name}).all()
        known = prepared(connection)

    assert sum("'a%b' LIKE" in text for text in known.values()) == 1


def test_marked_transaction_script_is_prepared(prepared):
    script = sa.text("SELECT 1; SELECT count(*) FROM facts WHERE name = :name")

    with transaction() as session:
        counted = session.execute(script.execution_options(**PLANNED), {"name": "x"}).scalar_one()
        known = prepared(session.connection())

    assert counted == 0
    assert any("count(*) FROM facts" in text for text in known.values())


def test_unpreparable_statement_runs_unprepared(prepared):
    with one_statement() as connection:
        assert connection.execute(sa.text("SHOW timezone")).scalar_one() == "UTC"
        unknown_type = sa.text("SELECT :value IS NULL")
        assert connection.execute(unknown_type, {"value": None}).scalar_one() is True


def test_statement_works_again_after_connection_is_lost(prepared):
    statement = sa.text("SELECT count(*) FROM facts WHERE name = :name")
    with one_statement() as connection:
        connection.execute(statement, {"name": "x"}).all()
        connection.invalidate()

    with one_statement() as connection:
        assert connection.execute(statement, {"name": "x"}).scalar_one() == 0


def test_prepared_statements_can_be_switched_off(postgres_url, tmp_path, prepared):
    url = servers.fresh_database(postgres_url)
    app = built(environ_for(tmp_path, DATABASE_URL=f"{url}?prepare=off"))

    with app.app_context(), one_statement() as connection:
        connection.execute(sa.text("SELECT 1")).all()
        assert prepared(connection) == {}
