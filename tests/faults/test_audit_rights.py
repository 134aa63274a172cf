"""The rights to the audit log: roles.sql, migrations and these tests use one table."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from psycopg2 import sql

from tests import factories
from tests.harness import app_fixtures, forked_programs, servers
from tests.harness.servers import run_sql
from vaultr.audit import rights
from vaultr.database.session import db

ROLES = Path("deploy/postgres/roles.sql")
TRIGGER = (
    "CREATE TRIGGER t BEFORE INSERT ON {} FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
)


def as_role(url, role):
    return f"postgresql://{role}@{url.partition('@')[2]}"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """A database with the roles of production, migrated by the owner."""
    home = tmp_path_factory.mktemp("home")
    with servers.postgres(own=True) as server:
        url = servers.fresh_database(server.url)
        for role in ("vaultr_owner", rights.APP, rights.SEQUENCER):
            run_sql(url, f"CREATE ROLE {role} LOGIN")
        run_sql(url, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
        run_sql(url, "GRANT USAGE, CREATE ON SCHEMA public TO vaultr_owner")
        run_sql(url, f"GRANT USAGE ON SCHEMA public TO {rights.APP}, {rights.SEQUENCER}")
        run_sql(
            as_role(url, "vaultr_owner"),
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public"
            f" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {rights.APP}",
        )
        environ = app_fixtures.environ_for(home, DATABASE_URL=as_role(url, "vaultr_owner"))
        flask = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
        subprocess.run(flask, env=os.environ | environ, check=True, capture_output=True)
        yield url


def granted(url, role):
    """Read all rights of a role to tables of the log from the database."""
    tables = run_sql(
        url,
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        f" WHERE grantee = '{role}' AND table_name LIKE 'audit%'",
    )
    columns = run_sql(
        url,
        "SELECT table_name, privilege_type || '(' || column_name || ')'"
        " FROM information_schema.column_privileges c"
        f" WHERE grantee = '{role}' AND table_name LIKE 'audit%' AND NOT EXISTS (SELECT FROM"
        " information_schema.role_table_grants t WHERE t.grantee = c.grantee"
        " AND t.table_name = c.table_name AND t.privilege_type = c.privilege_type)",
    )
    return set(tables) | set(columns)


@pytest.mark.parametrize("role", [rights.APP, rights.SEQUENCER])
def test_migration_leaves_exactly_the_listed_rights(migrated, role):
    listed = {(right.table, right.name) for right in rights.of(role)}

    assert granted(migrated, role) == listed


@pytest.mark.parametrize("role", [rights.APP, rights.SEQUENCER])
def test_own_roles_have_no_excess_rights(migrated, role):
    engine = sa.create_engine(as_role(migrated, role).replace("://", "+psycopg2://"))
    with engine.connect() as connection:
        excess = rights.excess(connection, role)
    engine.dispose()

    assert excess == []


def test_roles_file_lists_the_same_rights():
    found = re.findall(r"^    \('(\w+)', '(\w+)', '([^']+)'\),?$", ROLES.read_text(), re.M)

    assert found == rights.rows()


@pytest.mark.parametrize("table", rights.TABLES)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET {column} = {column}",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "ALTER TABLE {} ADD COLUMN x int",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "DROP TABLE {}",
        TRIGGER,
        "CREATE RULE r AS ON INSERT TO {} DO INSTEAD NOTHING",
    ],
)
def test_server_role_cannot_change_the_log(migrated, table, statement):
    [(column,), *_] = run_sql(
        migrated,
        f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0",
    )
    filled = sql.SQL(statement).format(sql.Identifier(table), column=sql.Identifier(column))

    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run_sql(as_role(migrated, rights.APP), filled)


@pytest.mark.parametrize("table", ["audit_event", "audit_leaf", "audit_node", "audit_checkpoint"])
def test_sequencer_role_cannot_rewrite_the_log(migrated, table):
    column = {"audit_event": "body", "audit_checkpoint": "note"}.get(table, "epoch")
    for statement in (f"UPDATE {table} SET {column} = {column}", f"TRUNCATE {table}"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run_sql(as_role(migrated, rights.SEQUENCER), statement)


def test_sequencer_and_server_work_under_their_own_roles(migrated, tmp_path):
    record = (
        "from tests.harness import audit_steps; audit_steps.record(3)",
        rights.APP,
    )
    sequence = ("from tests.harness import audit_steps; audit_steps.sequence()", rights.SEQUENCER)
    for code, role in (record, sequence):
        environ = app_fixtures.environ_for(tmp_path, DATABASE_URL=as_role(migrated, role))
        done = forked_programs.run(
            [sys.executable, "-c", code],
            env=forked_programs.own_environ() | environ,
            code_of="server",
        )
        assert done.returncode == 0, done.stderr

    assert run_sql(migrated, "SELECT count(*) FROM audit_pending") == [(0,)]
    assert run_sql(migrated, "SELECT count(*) FROM audit_checkpoint WHERE anchored_to IS NOT NULL")[
        0
    ] > (0,)


def test_server_role_skips_sequencer_job_and_logs_it_once(migrated, tmp_path):
    code = "from tests.harness import audit_steps; audit_steps.sequence(rounds=3, finish=False)"
    environ = app_fixtures.environ_for(
        tmp_path, DATABASE_URL=as_role(migrated, rights.APP), LOG_LEVEL="INFO"
    )

    done = forked_programs.run(
        [sys.executable, "-c", code],
        env=forked_programs.own_environ() | environ,
        code_of="server",
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("audit.sequencer.off") == 1


@pytest.mark.parametrize("table", ["audit_event", "audit_pending"])
def test_revoked_insert_rejects_changes_and_commits_nothing(migrated, tmp_path, table):
    environ = app_fixtures.environ_for(tmp_path, DATABASE_URL=as_role(migrated, rights.APP))
    app = app_fixtures.create_app(app_fixtures.Settings.from_environ(environ))
    with app.app_context():
        session = factories.session(factories.owner(f"{table}@example.org"))
    client, path = app.test_client(), "/api/v1/auth/logout"
    run_sql(migrated, f"REVOKE INSERT ON {table} FROM {rights.APP}")
    try:
        rejected = client.post(path, headers=session.headers)
    finally:
        run_sql(migrated, f"GRANT INSERT ON {table} TO {rights.APP}")
    done = client.post(path, headers=session.headers)
    with app.app_context():
        db.engine.dispose()

    assert rejected.status_code == 503
    assert rejected.json["type"] == "urn:vaultr:problem:audit-unavailable"
    assert done.status_code == 204
