"""Alembic's environment: one migration at a time, with time limits."""

import logging
import time

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError
from flask import current_app

from vaultr.audit import rights
from vaultr.database import engine, schema_version
from vaultr.database.base import Utc
from vaultr.settings.model import current_settings

log = logging.getLogger("alembic.env")
state = current_app.extensions["migrate"]
target_metadata = state.db.metadata

LOCK = 0x7661756C7472  # "vaultr"
LOCK_SECONDS = 10
STATEMENT_SECONDS = 300
WAIT_FOR_OTHERS_SECONDS = 600
POLL_SECONDS = 0.2


def skip_empty(_context, _revision, directives):
    """Do not write a migration that changes nothing."""
    if (
        getattr(context.config.cmd_opts, "autogenerate", False)
        and directives[0].upgrade_ops.is_empty()
    ):
        directives[:] = []
        log.info("the models require no change")


def plain_types(kind, thing, _context):
    """Render Vaultr's column types as plain types, because migrations import no Vaultr module."""
    if kind == "type" and isinstance(thing, Utc):
        return "sa.DateTime(timezone=True)"
    return False


def run_offline():
    """Print the SQL instead of running it."""
    url = engine.owner_engine(current_settings()).url.render_as_string(hide_password=False)
    context.configure(url=url, target_metadata=target_metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online():
    """Run the migrations. If six pods start together, one runs them and the others wait."""
    arguments = {
        "process_revision_directives": skip_empty,
        "render_item": plain_types,
        **state.configure_args,
    }
    usual = engine.deadline.set(None)
    try:
        with engine.owner_engine(current_settings()).connect() as connection:
            try:
                run_on(connection, arguments)
            finally:
                # Close the connection, because its settings were changed. Detaching it from its
                # pool would not do: it could not change to AUTOCOMMIT, in which building an index
                # does not block writers.
                connection.invalidate()
    except sa.exc.DBAPIError as error:
        if (why := hindrance(error)) is None:
            raise
        raise CommandError(why) from None
    finally:
        engine.deadline.reset(usual)


def run_on(connection, arguments):
    """Run the migrations on one connection."""
    if connection.dialect.name == "postgresql":
        wait_for_turn(connection)
    else:
        connection = prepare_sqlite(connection)
    arguments["on_version_apply"] = report
    context.configure(connection=connection, target_metadata=target_metadata, **arguments)
    with context.begin_transaction():
        context.run_migrations()
        note_needs(connection)
        if connection.dialect.name == "postgresql":
            rights.apply(connection)
    connection.commit()  # on SQLite, prepare_sqlite began the transaction


def report(ctx, step, **_more):
    """Log the REPORTS of a migration: a message for each query that counts any rows."""
    if step.is_upgrade:
        for message, query in getattr(step.up_revision.module, "REPORTS", {}).items():
            if found := ctx.connection.execute(sa.text(query)).scalar():
                log.warning(message, found)


def hindrance(error):
    """Return the cause if an operator can remove it; None if the statement itself is wrong."""
    code = getattr(error.orig, "pgcode", None)
    if code == "42501":
        return (
            "the role in DATABASE_URL may not change tables: set MIGRATION_DATABASE_URL to their "
            "owner's URL (docs/runbook.md, VaultrNotReady)"
        )
    if code == "55P03":
        return f"a table was locked for {LOCK_SECONDS} s by a long transaction: run this again"
    if isinstance(error, sa.exc.OperationalError) and code is None and error.statement is None:
        return "the database does not respond, or rejects this role: see `flask doctor`"
    return None


def note_needs(connection):
    """Store the oldest code that works with the schema, for pods without these migrations."""
    [current] = context.get_context().get_current_heads() or [None]
    if current is None or not sa.inspect(connection).has_table("facts"):
        return
    run = {one.revision: one.module for one in context.script.walk_revisions("base", current)}
    value = f"{current} {schema_version.needs_of(run)}".encode()
    connection.execute(
        sa.text(
            "INSERT INTO facts (name, value) VALUES (:name, :value)"
            " ON CONFLICT (name) DO UPDATE SET value = :value"
        ),
        {"name": schema_version.NEEDS, "value": value},
    )


def prepare_sqlite(connection):
    """Keep SQLite from deleting referring rows when batch mode drops a table.

    PRAGMA foreign_keys has no effect inside a transaction, so this bypasses SQLAlchemy, which would
    begin one. BEGIN IMMEDIATE makes other migrations wait. The transaction begins here, because the
    transactions of alembic (transactional_ddl) commit after each migration, and then other
    processes could run in between.
    """
    driver = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys=OFF")
    driver.execute(f"PRAGMA busy_timeout={WAIT_FOR_OTHERS_SECONDS * 1000}")
    connection = connection.execution_options(writes=True)
    connection.begin()
    return connection


def wait_for_turn(connection):
    """Take the lock that all migrations share, then set the time limits of this connection.

    Try repeatedly instead of waiting: building an index concurrently waits for all earlier
    transactions, and would deadlock with a transaction that waits for this lock.
    """
    until = time.monotonic() + WAIT_FOR_OTHERS_SECONDS
    lock = sa.text("SELECT pg_try_advisory_lock(:key)")
    while not connection.execute(lock, {"key": LOCK}).scalar():
        connection.commit()
        if time.monotonic() > until:
            minutes = WAIT_FOR_OTHERS_SECONDS // 60
            raise CommandError(f"another migration has run for {minutes} minutes: run this again")
        time.sleep(POLL_SECONDS)
    connection.execute(sa.text(f"SET lock_timeout = '{LOCK_SECONDS}s'"))
    connection.execute(sa.text(f"SET statement_timeout = '{STATEMENT_SECONDS}s'"))
    connection.commit()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
