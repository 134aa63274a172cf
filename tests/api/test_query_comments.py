"""One request id, from the edge to the statements in PostgreSQL."""

import threading
import time

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import servers
from tests.harness.app_fixtures import built, environ_for, signed_in
from vaultr.database.session import db, transaction


@pytest.fixture
def app(postgres_url, redis_url, tmp_path):
    url = servers.fresh_database(postgres_url)
    app = built(environ_for(tmp_path, DATABASE_URL=url, REDIS_URL=redis_url, WEB_CONCURRENCY="1"))
    yield app
    with app.app_context():
        db.engine.dispose()
    servers.drop_database(url)


def running_with(app, request_id):
    """List the statements that the server runs or ran last with a request's id."""
    with app.app_context(), db.engine.connect() as connection:
        requested = sa.text("SELECT query FROM pg_stat_activity WHERE query LIKE :tag")
        tag = f"%/*request_id='{request_id}'*/%"
        return [
            query for (query,) in connection.execute(requested, {"tag": tag}) if tag not in query
        ]


def test_waiting_statement_carries_the_request_id_of_its_caller(app):
    with app.app_context():
        vault = factories.vault()
    ann = signed_in(app, "ann@example.org")
    answers = []

    def rename():
        headers = {"X-Request-Id": "edge-4711.x"}
        body = {"revision": 2, "sealed": factories.b64(factories.sealed(500))}
        headers["If-Match"] = '"1"'
        answers.append(ann.put("/api/v1/auth/profile", json=body, headers=headers))

    with app.app_context(), transaction() as work:
        work.execute(sa.text("SELECT 1 FROM key_sets FOR UPDATE"))
        thread = threading.Thread(target=rename)
        thread.start()
        until = time.monotonic() + 60
        while not (found := running_with(app, "edge-4711.x")) and time.monotonic() < until:
            time.sleep(0.02)
    thread.join()

    assert found
    assert answers[0].headers["X-Request-Id"] == "edge-4711.x"
    assert answers[0].status_code == 200
    assert vault.id


@pytest.mark.parametrize("forged", ["*/ DROP TABLE accounts; --", "a'b", "%s", "x" * 65, "é"])
def test_request_id_that_could_be_sql_is_not_added(app, forged):
    ann = signed_in(app, "ann@example.org")

    answer = ann.get("/api/v1/auth/me", headers={"X-Request-Id": forged.encode().decode("latin1")})

    assert answer.status_code == 200
    assert answer.headers["X-Request-Id"] != forged
    assert running_with(app, forged) == []


def test_prepared_statements_survive_changing_query_comments(app):
    with app.app_context():
        item = factories.item(factories.vault())
    ann = signed_in(app, "ann@example.org")
    for number in range(20):
        assert ann.get(item.path, headers={"X-Request-Id": f"r{number}"}).status_code == 200

    with app.app_context(), app.extensions["database.autocommit_engine"].connect() as connection:
        names = connection.execute(sa.text("SELECT statement FROM pg_prepared_statements"))
        statements = [text for (text,) in names]
    assert statements
    assert not any("request_id=" in text for text in statements)
    assert len(set(statements)) == len(statements)
