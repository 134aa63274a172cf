"""Migrations build what the models describe on both databases, only once if many start."""

import subprocess

import flask_migrate
import pytest
import sqlalchemy as sa

from tests.harness import forked_programs, servers
from tests.harness.app_fixtures import built, environ_for
from tests.harness.first_hour_site import BIN, ROOT
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.settings.model import Settings

PODS = 6


@pytest.fixture(params=["postgresql", "sqlite"])
def environ(request, tmp_path):
    """The environment of a server whose database is empty."""
    if request.param == "sqlite":
        return environ_for(tmp_path)
    url = request.getfixturevalue("postgres_url")
    return environ_for(tmp_path, DATABASE_URL=servers.fresh_database(url))


def described(app):
    """Return the full description of a database's tables."""
    with app.app_context():
        look = sa.inspect(db.engine)
        tables = set(look.get_table_names()) - {"alembic_version"}
        found = {}
        for table in tables:
            columns = [
                (one["name"], str(one["type"]), one["nullable"], one["default"])
                for one in look.get_columns(table)
            ]
            found[table] = {
                "columns": sorted(columns),
                "key": look.get_pk_constraint(table)["constrained_columns"],
                "references": _sorted(look.get_foreign_keys(table)),
                "unique": _sorted(look.get_unique_constraints(table)),
                "checks": _sorted(look.get_check_constraints(table)),
                "indexes": _sorted(look.get_indexes(table)),
            }
        db.engine.dispose()
        return found


def _sorted(found):
    return sorted(repr(sorted(one.items(), key=repr)) for one in found)


def test_migrations_match_the_models(environ, tmp_path, request):
    app = create_app(Settings.from_environ(environ))
    with app.app_context():
        flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    migrated = described(app)

    other = environ_for(tmp_path / "other")
    if "DATABASE_URL" in environ:
        url = servers.fresh_database(request.getfixturevalue("postgres_url"))
        other["DATABASE_URL"] = url
    assert described(built(other)) == migrated


def test_migrations_can_be_downgraded_to_empty_database(environ):
    app = create_app(Settings.from_environ(environ))
    with app.app_context():
        flask_migrate.upgrade(directory=str(ROOT / "migrations"))
        flask_migrate.downgrade(directory=str(ROOT / "migrations"), revision="base")

    assert described(app) == {}


def test_failed_migration_rolls_back_earlier_ones(environ):
    app = create_app(Settings.from_environ(environ))
    with app.app_context():
        with db.engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE recoveries (id INTEGER)")
        with pytest.raises(sa.exc.DBAPIError, match="already exists"):
            flask_migrate.upgrade(directory=str(ROOT / "migrations"))

    assert list(described(app)) == ["recoveries"]


def test_six_concurrent_migrations_all_succeed(environ):
    command = [str(BIN / "flask"), "db", "upgrade"]
    pods = [
        forked_programs.start(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)
        for _ in range(PODS)
    ]
    output = [pod.communicate(timeout=120)[1] for pod in pods]

    assert [pod.returncode for pod in pods] == [0] * PODS, output
    assert "accounts" in described(create_app(Settings.from_environ(environ)))
