"""Restore a backup into an empty database, with the roles and rights of roles.sql."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from vaultr.audit import service as audit
from vaultr.backup import scratch, verify
from vaultr.backup.errors import TargetUnusable, VerificationFailed
from vaultr.backup.manifest import Manifest
from vaultr.backup.storage import Location
from vaultr.database import schema_version
from vaultr.settings.model import Settings

OWNER: Final = "vaultr_owner"
_APP, _SEQUENCER = "vaultr_app", "vaultr_sequencer"
_TABLES: Final = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_%'"
    " AND c.relkind IN ('r', 'p', 'v', 'm', 'S')"
)
_ROLES: Final = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'vaultr\\_%'"
_CURRENT: Final = (
    "SELECT rolsuper, rolcreaterole, pg_has_role(rolname, datdba, 'MEMBER')"
    " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
)


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored database.

    :ivar new_roles: new roles, which have no password yet.
    :ivar roles: whether the database has the three roles and their rights.
    """

    manifest: Manifest
    seconds: float
    roles: bool
    new_roles: tuple[str, ...]
    older_schema: bool


def target_url(into: str, password_file: Path | None) -> str:
    """Return the URL of the database to restore into.

    :param password_file: contains the password; without it libpq uses its defaults (PGPASSWORD,
        PGPASSFILE, ~/.pgpass).
    :raises TargetUnusable: the URL is invalid, or contains a password.
    """
    if not into.startswith(("postgresql://", "postgres://", "sqlite:///")):
        raise TargetUnusable("--into must begin with postgresql:// or sqlite:///.")
    try:
        url = sa.make_url(into)
    except (sa.exc.ArgumentError, ValueError):
        raise TargetUnusable(
            "--into is not the URL of a database, such as postgresql://postgres@db/vaultr_restored."
        ) from None
    if url.password is not None:
        raise TargetUnusable(
            "--into contains a password, which every user of this machine can read in the list of"
            " processes. Change this password, write it into a file, and use --into-file FILE."
        )
    if url.get_backend_name() == "sqlite":
        return into
    if password_file is not None:
        try:
            url = url.set(password=password_file.read_text("utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError):
            raise TargetUnusable(
                f"{password_file} cannot be read. Check --into-file, and the file's mode."
            ) from None
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def restore(settings: Settings, location: Location, name: str, url: str) -> Restored:
    """Restore a backup, and compare every table with the manifest.

    All checks run before the first row is written.

    :raises TargetUnusable: the database is not empty, is of another kind, or this role may not
        change it.
    """
    began = time.monotonic()
    manifest = verify.inspect(settings, location, name)
    if url.startswith("sqlite") != (manifest.engine == "sqlite"):
        raise TargetUnusable(
            f"The backup is of {manifest.engine}: --into must name a database of the same kind."
        )
    new_roles: tuple[str, ...] = ()
    owner: str | None = None
    if manifest.engine == "sqlite":
        path = Path(str(sa.make_url(url).database))
        if path.exists() and path.stat().st_size:
            raise TargetUnusable(f"{path} exists already. Restore into a new file.")
    else:
        with scratch.connected(url, isolation_level="AUTOCOMMIT") as connection:
            new_roles, owner = _prepare(connection)
    verify.load(settings, location, name, url, role=owner)
    if owner is not None:
        with scratch.connected(url) as connection:
            connection.exec_driver_sql(f"SET ROLE {owner}")
            audit.set_rights(connection)
            connection.commit()
    problems = list(verify.differences(manifest, url))
    if problems:
        raise VerificationFailed(
            f"The restored data differs from the backup: {'; '.join(problems[:5])}. Do not use"
            " this database; restore another backup into a new one (docs/backups.md)."
        )
    older = manifest.revision < schema_version.known()[-1]
    return Restored(manifest, time.monotonic() - began, owner is not None, new_roles, older)


def _prepare(connection: sa.Connection) -> tuple[tuple[str, ...], str | None]:
    """Check that the database is empty, and create roles and rights like roles.sql.

    :return: the new roles, and the owner; None if the roles do not exist and this role may not
        create them. Then the current role owns the tables.
    """
    if connection.scalar(sa.text(_TABLES)):
        raise TargetUnusable(
            "The database is not empty. Create a new one (`createdb NAME`), and restore into that,"
            " because only the old database has what was written since the backup."
        )
    superuser, may_create, owns = connection.execute(sa.text(_CURRENT)).one()
    known = set(connection.scalars(sa.text(_ROLES)))
    missing = tuple(role for role in (OWNER, _APP, _SEQUENCER) if role not in known)
    if missing and not (superuser or may_create):
        return (), None
    if not (superuser or owns):
        raise TargetUnusable(
            "This role may not set the rights of the database. Restore as a superuser, or as the"
            " owner of the database with CREATEROLE."
        )
    for role in missing:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
    for statement in _rights(connection, superuser=bool(superuser)):
        connection.exec_driver_sql(statement)
    return missing, OWNER


def _rights(connection: sa.Connection, *, superuser: bool) -> list[str]:
    """Return the statements of roles.sql that run before the tables are created."""
    quote = connection.dialect.identifier_preparer.quote
    database = quote(str(connection.scalar(sa.text("SELECT current_database()"))))
    user = quote(str(connection.scalar(sa.text("SELECT current_user"))))
    defaults = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT"
    return [
        *([] if superuser else [f"GRANT {OWNER} TO {user}"]),
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {OWNER}",
        f"GRANT CONNECT ON DATABASE {database} TO {_APP}, {_SEQUENCER}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE, CREATE ON SCHEMA public TO {OWNER}",
        f"GRANT USAGE ON SCHEMA public TO {_APP}, {_SEQUENCER}",
        f"{defaults} SELECT, INSERT, UPDATE, DELETE ON TABLES TO {_APP}",
        f"{defaults} USAGE, SELECT ON SEQUENCES TO {_APP}",
    ]
