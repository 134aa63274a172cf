"""Future migrations preserve rows that refer to each other, and restore connection settings."""

import shutil

import flask_migrate
import pytest
import sqlalchemy as sa

from tests.guards.source_tree import ROOT
from tests.harness import servers
from tests.harness.app_fixtures import environ_for
from vaultr.app import create_app
from vaultr.database import engine, schema_version
from vaultr.database.session import db
from vaultr.settings.model import Settings

FIRST = """
revision, down_revision = "0001", None

def upgrade():
    op.create_table("parents", sa.Column("id", sa.Integer, primary_key=True))
    op.create_table(
        "children",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("parent", sa.Integer, sa.ForeignKey("parents.id", ondelete="CASCADE")),
    )
    op.execute("INSERT INTO parents VALUES (1)")
    op.execute("INSERT INTO children VALUES (1, 1)")
"""
SECOND = """
revision, down_revision = "0002", "0001"

def upgrade():
    with op.batch_alter_table("parents", recreate="auto") as table:
        table.add_column(sa.Column("name", sa.Text))
        table.alter_column("id", type_=sa.BigInteger)
"""


@pytest.fixture(params=["postgresql", "sqlite"])
def app(request, tmp_path):
    environ = environ_for(tmp_path)
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        environ["DATABASE_URL"] = servers.fresh_database(url)
    return create_app(Settings.from_environ(environ))


@pytest.fixture
def migrations(tmp_path):
    """A folder of sample migrations that run like ours."""
    folder = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", folder, ignore=shutil.ignore_patterns("versions"))
    (folder / "versions").mkdir()
    for number, text in (("0001", FIRST), ("0002", SECOND)):
        head = "import sqlalchemy as sa\nfrom alembic import op\n"
        (folder / "versions" / f"{number}_x.py").write_text(head + text)
    return str(folder)


def rows():
    with db.engine.connect() as connection:
        return [
            connection.scalar(sa.text(f"SELECT count(*) FROM {table}"))
            for table in ("parents", "children")
        ]


def test_rebuilt_table_keeps_rows_of_other_tables(app, migrations):
    with app.app_context():
        flask_migrate.upgrade(directory=migrations, revision="0001")
        flask_migrate.upgrade(directory=migrations, revision="0002")

        assert rows() == [1, 1]
        db.engine.dispose()


def test_migration_restores_settings_of_the_session(app, migrations):
    names = (
        ("foreign_keys", "busy_timeout") if sqlite(app) else ("lock_timeout", "statement_timeout")
    )
    ask = "PRAGMA {}" if sqlite(app) else "SHOW {}"

    def session_settings():
        with db.engine.connect() as connection:
            return [connection.exec_driver_sql(ask.format(name)).scalar() for name in names]

    with app.app_context():
        before, waited = session_settings(), engine.deadline.get()
        flask_migrate.upgrade(directory=migrations)

        assert session_settings() == before
        assert engine.deadline.get() == waited
        db.engine.dispose()


def sqlite(app):
    return app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite")


def test_schema_version_shows_which_code_is_compatible(app):
    with app.app_context():
        flask_migrate.upgrade(directory=str(ROOT / "migrations"))
        *_, newest = schema_version.known()
        found = schema_version.read_state(5.0)

        assert (found.revision, found.noted) == (newest, newest)
        assert found.needs <= newest
        db.engine.dispose()


def test_latest_breaking_revision_counts():
    breaking = [type("Module", (), {"oldest_code": one}) for one in ("0003", "0007")]
    harmless = type("Module", (), {})

    assert (
        schema_version.needs_of({"0008": breaking[1], "0009": harmless, "0004": breaking[0]})
        == "0007"
    )
    assert schema_version.needs_of({"0001": harmless}) == "0001"
