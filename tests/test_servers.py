"""The servers of the tests can fail like real ones, and recover."""

import contextlib

import psycopg2
import pytest
import redis

from tests.harness import servers


def ask(url):
    with contextlib.closing(psycopg2.connect(url, connect_timeout=2)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        return cursor.fetchone()[0]


def test_fresh_database_is_copied_from_template(postgres_url):
    template = servers.fresh_database(postgres_url)
    with contextlib.closing(psycopg2.connect(template)) as connection, connection:
        connection.cursor().execute("CREATE TABLE kept (n int)")

    copy = servers.fresh_database(postgres_url, template=servers.database_name(template))

    with contextlib.closing(psycopg2.connect(copy)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM kept")
        assert cursor.fetchone() == (0,)
    servers.drop_database(copy)
    servers.drop_database(template)


def test_frozen_redis_resumes_when_thawed(own_redis):
    client = redis.Redis.from_url(own_redis.url, socket_timeout=0.2)
    client.set("kept", 1)

    own_redis.freeze()

    with pytest.raises(redis.TimeoutError):
        client.get("kept")
    own_redis.thaw()
    assert client.get("kept") == b"1"
    client.close()


def test_killed_redis_restarts_empty_at_same_address(own_redis):
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("lost", 1)

    own_redis.kill()
    own_redis.start()

    with redis.Redis.from_url(own_redis.url) as client:
        assert client.get("lost") is None


def test_frozen_postgres_resumes_when_thawed(own_postgres):
    own_postgres.freeze()

    with pytest.raises(psycopg2.OperationalError):
        ask(own_postgres.url)
    own_postgres.thaw()
    assert ask(own_postgres.url) == 1


def test_killed_postgres_restarts_with_its_rows(own_postgres):
    url = servers.fresh_database(own_postgres.url)
    connection = psycopg2.connect(url)

    own_postgres.kill()
    own_postgres.start()

    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT 1")
    assert ask(url) == 1
    connection.close()
