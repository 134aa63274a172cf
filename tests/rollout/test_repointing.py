"""Another database under load: new servers start with it, then the old ones stop."""

import contextlib
import time

import psycopg2
import pytest

from tests.rollout.compose_processes import Site
from tests.rollout.load import Load

CLIENTS = 16
SERVER = {"WEB_CONCURRENCY": "1", "LIMIT_ANONYMOUS": "1000000/60"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repointing")
    folder.chmod(0o755)
    with Site(folder) as site:
        yield site


def _query(site, statement, *values):
    with contextlib.closing(psycopg2.connect(site.postgres.url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else None


def _connections(site, database):
    requested = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'vaultr_app' AND datname = %s"
    )
    [(count,)] = _query(site, requested, database)
    return count


def test_switch_to_restored_database_loses_no_request(site):
    """`deploy/aws/snapshots restore` and a rolling restart do this with the secret's URL."""
    _query(site, "CREATE DATABASE restored TEMPLATE vaultr")
    restored = site.secrets / "restored_url"
    url = (site.secrets / "database_url").read_text()
    restored.write_text(f"{url.rpartition('/')[0]}/restored")
    site.start("app-old", **SERVER)
    https, _ = site.edge("rolling", backends=["app-old"])
    before = _connections(site, "vaultr")

    with Load(https, CLIENTS, path="/api/ready") as load:
        time.sleep(0.5)
        site.start("app-new", **SERVER, DATABASE_URL_FILE=str(restored))
        site.route_to("rolling", ["app-new"])
        time.sleep(0.5)
        assert site.stop("app-old") == 0
        time.sleep(0.5)
        after = _connections(site, "vaultr"), _connections(site, "restored")

    assert before > 0
    assert after[0] == 0
    assert after[1] > 0
    assert load.failed == []
    assert load.responses > 100
