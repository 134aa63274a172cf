"""`flask doctor` and the database: rights, connections, schema, and an unreachable server."""

import contextlib
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.harness import servers
from tests.harness.app_fixtures import built, environ_for
from tests.harness.operator_fixtures import bad, in_production
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.ops.doctor import connections, database
from vaultr.settings.model import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def as_role(postgres_url, redis_url, tmp_path):
    """``as_role("GRANT …")``: an app on a separate database, with a role of only these rights."""
    made = []

    @contextlib.contextmanager
    def connected(*grants, url_ends=""):
        url = servers.fresh_database(postgres_url)
        name = f"role_{servers.database_name(url)}"
        owner = built(environ_for(tmp_path, DATABASE_URL=url))
        with owner.app_context(), db.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text(f"CREATE ROLE {name} LOGIN"))
            for grant in grants:
                connection.execute(sa.text(grant.format(role=name)))
        made.append((owner, url, name))
        theirs = url.replace("//vaultr@", f"//{name}@") + url_ends
        settings = environ_for(tmp_path, DATABASE_URL=theirs, REDIS_URL=redis_url)
        app = built(settings) if "CREATE ON SCHEMA" in " ".join(grants) else unbuilt(settings)
        with app.app_context():
            yield app
            db.engine.dispose()

    yield connected
    for owner, url, name in made:
        with owner.app_context():
            db.engine.dispose()
        servers.drop_database(url)
        servers.run_sql(postgres_url, f"DROP ROLE {name}")


def unbuilt(environ):
    return create_app(Settings.from_environ(environ))


ALL = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE ON SCHEMA public TO {role}",
)


def test_role_with_exact_rights_passes(as_role):
    with as_role(*ALL) as app:
        found = bad(database.check(in_production(app.config["SETTINGS"]), pods=1))

    assert [says for _, says in found if "role" in says or "right" in says] == []


def test_missing_rights_are_reported(as_role):
    with as_role(*ALL, "REVOKE DELETE ON sessions FROM {role}") as app:
        found = bad(database.check(app.config["SETTINGS"], pods=1))

    assert ("problem", "rights are missing: DELETE on sessions") in found


def test_superuser_role_is_reported(postgres_app):
    with postgres_app.app_context():
        settings = in_production(postgres_app.config["SETTINGS"])
        found = bad(database.check(settings, pods=1))

    assert ("problem", "the server's role vaultr is a superuser") in found


def test_connections_over_database_limit_are_reported(postgres_app):
    with postgres_app.app_context():
        settings = postgres_app.config["SETTINGS"].model_copy(update={"web_threads": 4})
        room = _room()
        found = {pods: bad(database.check(settings, pods=pods)) for pods in (1, room // 15, room)}

    levels = {
        pods: [level for level, says in one if "pods x" in says] for pods, one in found.items()
    }
    assert levels == {1: [], room // 15: ["warning"], room: ["problem"]}


def _room():
    with db.engine.connect() as connection:
        requested = "SELECT current_setting('max_connections')::int"
        return connection.scalar(sa.text(requested)) - 3 - connections.OTHERS


def test_documented_connection_figures_match_the_formula():
    page = (ROOT / "docs" / "performance.md").read_text()
    rows = re.findall(r"^\| (\d+) \S (\d+) \S (\d+) \| (\d+) \| (\d+) \|$", page, re.M)

    assert len(rows) >= 4
    for row in rows:
        pods, processes, threads, usual, release = map(int, row)
        needed = connections.Deployment(pods, processes, threads, (16, 16))
        assert (needed.usual, needed.during_release) == (usual, release)


def test_unreachable_database_is_reported_as_one_problem(tmp_path):
    app = unbuilt(environ_for(tmp_path, DATABASE_URL="postgresql://x@127.0.0.1:1/x"))
    with app.app_context():
        [(level, says)] = bad(database.check(app.config["SETTINGS"], pods=1))

    assert level == "problem"
    assert says.startswith("cannot be used: no server listens at its address after")


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ("/none", "the role or database does not exist"),
        ("@no-such.invalid/x", "its host name cannot be"),
    ],
)
def test_connection_failure_is_explained_without_names(tmp_path, postgres_url, ends, why):
    url = postgres_url.rpartition("/" if ends[0] == "/" else "@")[0] + ends
    with unbuilt(environ_for(tmp_path, DATABASE_URL=url)).app_context():
        [(_, says)] = bad(database.check(Settings.from_environ({}), pods=1))

    assert says.startswith(f"cannot be used: {why}")
    assert "none" not in says
    assert "invalid" not in says


def test_outdated_schema_is_reported(app):
    with app.app_context():
        found = bad(database.check(app.config["SETTINGS"], pods=1))
    [(level, says)] = [one for one in found if "pending" in one[1]]

    assert level == "problem"
    assert says.startswith("none; ")


def test_newest_schema_passes(app, migrated_to_newest):
    with app.app_context():
        found = bad(database.check(app.config["SETTINGS"], pods=1))

    assert [one for one in found if "pending" in one[1]] == []
