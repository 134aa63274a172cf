"""Check the database: reachable, version, TLS, rights of the role, schema, connections."""

import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.database import schema_version, write_check
from vaultr.database.session import AUTOCOMMIT, db, postgresql, reading
from vaultr.ops.check_result import CheckResult, ok, problem, warning
from vaultr.ops.doctor import connections
from vaultr.ops.doctor.tls_severity import severity
from vaultr.settings.model import Settings
from vaultr.settings.types import loopback

TOPIC: Final = "database"
OLDEST: Final = 15
_REASONS: Final = {
    "Connection refused": "no server listens at its address",
    "could not translate host name": "its host name cannot be resolved",
    "No route to host": "there is no route to its host",
    "timeout expired": "its host does not respond",
    "does not respond in time": "it accepts connections, but does not respond",
    "password authentication failed": "the password is wrong",
    "no pg_hba.conf entry": "pg_hba.conf does not allow connections from here",
    "does not exist": "the role or database does not exist",
    "certificate verify failed": "its certificate is not trusted: set PRIVATE_CA to its authority",
    "does not support SSL": "it does not support TLS",
    "root certificate file": "the sslrootcert file cannot be read",
    "remaining connection slots": "all its connections are in use",
    "too many": "all its connections are in use",
    "starting up": "it is starting",
    "shutting down": "it is shutting down",
    "in recovery mode": "it is recovering from a crash",
}
SLOW_SECONDS: Final = 0.05
_WRITE_SECONDS: Final = 2.0
# End of community support of each major version; www.postgresql.org/support/versioning.
_ENDS: Final = {
    15: date(2027, 11, 11), 16: date(2028, 11, 9), 17: date(2029, 11, 8), 18: date(2030, 11, 14),
}  # fmt: skip
_RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_ROLE: Final = (
    "SELECT current_user AS name, r.rolsuper, r.rolcreaterole OR r.rolcreatedb AS makes,"
    " has_schema_privilege(current_user, 'public', 'CREATE') AS creates,"
    " (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS ssl,"
    " (SELECT count(*) FROM pg_stat_activity) AS used,"
    " current_setting('max_connections')::int AS most,"
    " current_setting('superuser_reserved_connections')::int AS reserved,"
    " current_setting('server_version_num')::int / 10000 AS major,"
    " current_setting('server_version') AS version"
    " FROM pg_roles r WHERE r.rolname = current_user"
)


def check(
    settings: Settings, *, pods: int, on_away: Callable[[], object] = lambda: None
) -> Iterator[CheckResult]:
    """Report the state of the database, for ``pods`` web pods and one worker.

    :param on_away: called if the database cannot be used, so that later checks do not wait long.
    """
    began = time.monotonic()
    try:
        with db.engine.connect() as connection:
            connection.scalar(sa.text("SELECT 1"))
            began = time.monotonic()
            connection.scalar(sa.text("SELECT 1"))
            taken = time.monotonic() - began
            found = connection.execute(sa.text(_ROLE)).one() if postgresql() else None
    except sa.exc.SQLAlchemyError as error:
        says = f"cannot be used: {failure_reason(error)} after {time.monotonic() - began:.1f} s"
        todo = (
            "Check that it runs, that DATABASE_URL is correct, that this machine can reach it, and"
            " that its disk is not full (docs/runbook.md, Database lost)."
        )
        yield problem(TOPIC, says, todo)
        on_away()
        return
    if found is None:
        yield ok(TOPIC, f"SQLite {db.engine.dialect.dbapi.sqlite_version}")  # type: ignore[union-attr]  # it has one once it is connected
    else:
        yield from _server(found, taken)
        yield from _encryption(found, settings)
        yield from _role(found, settings)
        yield from _connections(found, settings, pods=pods)
    if not write_check.is_writable(_WRITE_SECONDS):
        todo = (
            "Check whether its disk is full, or whether it is a standby or read-only"
            " (docs/runbook.md, Disk full). Meanwhile users can read."
        )
        yield problem(TOPIC, "it accepts no writes", todo)
    yield from _schema()


def failure_reason(error: sa.exc.SQLAlchemyError) -> str:
    """Return why the database cannot be used; the driver's own text would name roles."""
    message = str(getattr(error, "orig", None) or error)
    kind = type(getattr(error, "orig", None) or error).__name__
    return next((says for words, says in _REASONS.items() if words in message), kind)


def _server(found: Any, taken: float) -> Iterator[CheckResult]:
    says = f"PostgreSQL {found.version}, responds in {taken * 1000:.1f} ms"
    ends = _ENDS.get(found.major)
    if found.major < OLDEST:
        yield problem(TOPIC, says, f"Upgrade to {OLDEST} or newer; older versions are not tested.")
    elif ends is not None and ends < clock.now().date():
        yield warning(TOPIC, says, f"Upgrade: support for this version ended on {ends}.")
    elif taken > SLOW_SECONDS:
        yield warning(
            TOPIC,
            says,
            "This is slow, because each request sends several statements. Check that the database"
            " is in the same region.",
        )
    else:
        yield ok(TOPIC, says)


def _encryption(found: Any, settings: Settings) -> Iterator[CheckResult]:
    url = db.engine.url
    is_local = url.host is None or loopback(url.host) or url.host.startswith("/")
    mode = url.query.get("sslmode", "prefer")
    if not found.ssl:
        if is_local:
            yield ok(TOPIC, "no TLS, on this machine")
            return
        level = severity(url.host, production=settings.production)
        yield level(
            TOPIC, "the connection is not encrypted", "Add ?sslmode=verify-full to DATABASE_URL."
        )
    elif mode != "verify-full" and not is_local:
        todo = (
            "Add ?sslmode=verify-full to DATABASE_URL. If your own authority signed the"
            " certificate, also set PRIVATE_CA."
        )
        yield warning(TOPIC, f"TLS, but sslmode={mode} does not verify the server's name", todo)
    else:
        yield ok(TOPIC, f"TLS (sslmode={mode})")


def _role(found: Any, settings: Settings) -> Iterator[CheckResult]:
    level = problem if settings.production else warning
    roles = "Use a separate role for the server: run deploy/postgres/roles.sql."
    if found.rolsuper or found.makes:
        what = "a superuser" if found.rolsuper else "allowed to create roles or databases"
        yield level(TOPIC, f"the server's role {found.name} is {what}", roles)
    elif found.creates:
        yield warning(TOPIC, f"the server's role {found.name} may create tables", roles)
    else:
        yield ok(TOPIC, f"role {found.name} has no more rights than it needs")
    missing = _missing_rights()
    if missing:
        todo = "Grant them to the server's role: run deploy/postgres/roles.sql again."
        yield problem(TOPIC, f"rights are missing: {', '.join(missing[:5])}", todo)


def _missing_rights() -> list[str]:
    """Return the rights that the server's role lacks; see `audit.rights` for the audit log."""
    with reading() as session:
        connection = session.connection()
        existing = set(sa.inspect(connection).get_table_names())
        missing = []
        for table in sorted(existing & set(db.metadata.tables)):
            for right in audit.server_rights(table) or _RIGHTS:
                asked = sa.text("SELECT has_table_privilege(current_user, :table, :right)")
                if not connection.execute(asked, {"table": table, "right": right}).scalar_one():
                    missing.append(f"{right} on {table}")
        return missing


def _connections(found: Any, settings: Settings, *, pods: int) -> Iterator[CheckResult]:
    pools = (_pool_limit(db.engine), _pool_limit(AUTOCOMMIT.get()))
    inline = settings.background == "inline"
    needed = connections.Deployment(
        pods, settings.web_concurrency, settings.web_threads, pools, inline=inline
    )
    room = found.most - found.reserved - connections.OTHERS
    says = (
        f"{pods} pods x {settings.web_concurrency} processes x {settings.web_threads} threads open"
        f" up to {needed.usual} connections, {needed.during_release} during a release; there is"
        f" room for {room} ({found.used} in use)"
    )
    todo = (
        f"Raise max_connections to {needed.during_release + found.reserved + connections.OTHERS},"
        " or lower WEB_THREADS or WEB_CONCURRENCY, or use PgBouncer (docs/performance.md, How many"
        " connections)."
    )
    if needed.usual > room:
        yield problem(TOPIC, f"{says}: under load, requests get 503 `busy`", todo)
    elif needed.during_release > room:
        yield warning(TOPIC, f"{says}: during a release under load, requests get 503 `busy`", todo)
    else:
        yield ok(TOPIC, says)


def _pool_limit(engine: sa.Engine) -> int:
    pool: Any = engine.pool
    return int(pool.size() + pool._max_overflow)


def _schema() -> Iterator[CheckResult]:
    status = schema_version.status(schema_version.read_state(5.0))
    if not status.compatible:
        todo = "Start a newer version of Vaultr, or restore a database of this version."
        yield problem("schema", f"{status.current} requires newer code than {status.head}", todo)
    elif status.pending:
        count = len(status.pending)
        yield problem(
            "schema",
            f"{status.current or 'none'}; {count} migrations pending",
            "Run `flask db upgrade` as the owner of the tables (docs/runbook.md, VaultrNotReady).",
        )
    else:
        yield ok("schema", f"{status.current}, the newest")
