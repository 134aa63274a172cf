"""deploy/postgres/roles.sql, run by a superuser or by a managed master user."""

import os
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql

from tests.harness import server_programs, servers
from tests.harness.servers import run_sql
from tests.rollout import tools

PASSWORD = "a-password-of-more-than-20-letters"
OWNER, APP = "vaultr_owner", "vaultr_app"


@pytest.fixture(scope="module", params=["newest", "oldest"])
def server(request, monkeypatch_module):
    """Yield a server of the newest and of the oldest PostgreSQL on this machine."""
    if request.param == "oldest" and (places := _installed()):
        monkeypatch_module.setattr(server_programs, "_postgres_programs", lambda _folder: [*places])
    with servers.postgres(own=True) as server:
        yield server


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(params=["superuser", "master"])
def database(request, server):
    """Yield the URL of an empty database for logging in as ``superuser`` or ``master``."""
    url = servers.fresh_database(server.url)
    _forget_roles(server.url)
    if request.param == "master":
        name = sql.Identifier(servers.database_name(url))
        run_sql(server.url, "CREATE ROLE master LOGIN CREATEDB CREATEROLE")
        run_sql(server.url, sql.SQL("ALTER DATABASE {} OWNER TO master").format(name))
        url = url.replace("//vaultr@", "//master@")
    yield url
    servers.drop_database(url.replace("//master@", "//vaultr@"))
    _forget_roles(server.url)


def test_owner_creates_tables_and_server_only_changes_rows(database, tmp_path):
    for _ in range(2):  # it can be run again
        done = _roles(database, tmp_path)
        assert done.returncode == 0, tools.output_of(done)

    run_sql(_as(database, OWNER), "CREATE TABLE things (id serial PRIMARY KEY)")
    run_sql(_as(database, APP), "INSERT INTO things DEFAULT VALUES")
    run_sql(_as(database, APP), "UPDATE things SET id = 2")
    run_sql(_as(database, APP), "DELETE FROM things")
    for statement in ("CREATE TABLE t (i int)", "DROP TABLE things", "TRUNCATE things"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run_sql(_as(database, APP), statement)


def test_roles_script_grants_server_access_to_restored_tables(database, tmp_path):
    _roles(database, tmp_path)
    owner = _as(database, OWNER)
    run_sql(owner, "CREATE TABLE things (id serial PRIMARY KEY)")
    run_sql(owner, "CREATE TABLE audit_event (id int)")
    run_sql(owner, "REVOKE ALL ON things, audit_event, things_id_seq FROM vaultr_app")

    assert _roles(database, tmp_path).returncode == 0

    run_sql(_as(database, APP), "INSERT INTO things DEFAULT VALUES")
    run_sql(_as(database, APP), "DELETE FROM things")
    run_sql(_as(database, APP), "INSERT INTO audit_event VALUES (1)")
    for statement in ("UPDATE audit_event SET id = 2", "DELETE FROM audit_event"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run_sql(_as(database, APP), statement)


def test_missing_or_short_role_password_is_rejected(database, tmp_path):
    for password in ("", "short"):
        done = _roles(database, tmp_path, password=password)

        assert done.returncode != 0
        assert "at least 20 characters" in done.stderr


def test_roles_script_revokes_superuser_from_server_role(server, tmp_path):
    url = servers.fresh_database(server.url)
    _forget_roles(server.url)
    run_sql(server.url, f"CREATE ROLE {APP} LOGIN SUPERUSER CREATEROLE")

    assert _roles(url, tmp_path).returncode == 0

    requested = f"SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = '{APP}'"
    assert run_sql(server.url, requested) == [(False,)]
    servers.drop_database(url)


def _installed():
    """List the folders of this machine's PostgreSQL programs, oldest first."""
    found = Path("/usr/lib/postgresql").glob("*/bin")
    whole = [place for place in found if (place / "initdb").exists()]
    return sorted(whole, key=lambda place: int(place.parent.name))


def _roles(url, folder, *, password=PASSWORD):
    path = folder / "password"
    path.write_text(password)
    environ = {**os.environ, "APP_PASSWORD_FILE": str(path), "OWNER_PASSWORD_FILE": str(path)}
    return tools.run(
        "psql", "-v", "ON_ERROR_STOP=1", "--quiet", "--dbname", url,
        "--file", "deploy/postgres/roles.sql", env=environ,
    )  # fmt: skip


def _as(url, role):
    return f"postgresql://{role}@{url.partition('@')[2]}"


def _forget_roles(url):
    """Remove the roles of the previous test; its database is already dropped."""
    for role in (APP, OWNER, "master"):
        run_sql(url, f"DROP ROLE IF EXISTS {role}")
