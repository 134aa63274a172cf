"""The schema's revision, and whether this code can run on it.

Revisions are numbered. Code runs on the newest revision that it knows. It also runs on later
revisions whose migrations only add things, because during an upgrade older code runs on the new
schema. `migrations/env.py` stores the oldest code that still works under `NEEDS`, together with the
revision, so that an arbitrary number is not mistaken for a later revision.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.database import engine
from vaultr.database.session import postgresql

NEEDS: Final = "schema/needs"
_KNOWN: Final = AppSlot[tuple[str, ...]]("database.schema_versions")
_FOLDER: Final = AppSlot[Path]("database.migrations_folder")
_NUMBER: Final = re.compile(r"[0-9]{4}")


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The state of the schema, as stored in the database.

    :ivar revision: revision of the schema; None before the first migration.
    :ivar noted: the revision for which ``needs`` was stored.
    :ivar needs: the oldest code that works, as the newest revision that it knows.
    :ivar switched_off: names of the features that are switched off.
    """

    revision: str | None
    noted: str | None = None
    needs: str | None = None
    switched_off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """The schema compared with the code; ``pending`` lists migrations that have not run yet."""

    current: str | None
    head: str
    pending: tuple[str, ...]
    compatible: bool


def init_app(app: Flask, _settings: object) -> None:
    """Find the revisions that this code knows.

    In a wheel the migrations are inside the package; in a checkout they are beside it; in the image
    they are beside wsgi.py, because the package is installed elsewhere.
    """
    package = Path(app.root_path)
    for place in (package, package.parent, Path.cwd()):
        state = (place / "migrations" / "versions").glob("[0-9]*.py")
        if numbers := sorted(path.name.partition("_")[0] for path in state):
            break
    _KNOWN.set(app, tuple(numbers))
    _FOLDER.set(app, place / "migrations")


def folder(app: Flask) -> str:
    """Return the folder of the migrations, independent of the working directory."""
    return str(_FOLDER.get(app))


def known() -> tuple[str, ...]:
    """Return the revisions that this code knows, oldest first."""
    return _KNOWN.get()


def read_state(seconds: float) -> SchemaState:
    """Read the state of the schema, on a new connection.

    :raises DatabaseUnavailable: no response within ``seconds``.
    """
    try:
        text = engine.query_once(_statement(), seconds)
    except engine.TableMissing:  # the schema is older than one of these tables
        try:
            text = engine.query_once("SELECT version_num FROM alembic_version", seconds)
        except engine.TableMissing:
            return SchemaState(None)
    if not text:
        return SchemaState(None)
    revision, noted, off, *_ = [*str(text).split("|"), "", ""]
    of, _, needs = noted.partition(" ")
    names = tuple(sorted(filter(None, off.split(","))))
    return SchemaState(revision, of or None, needs or None, names)


def _statement() -> str:
    """Return a statement that reads revision, requirements and kill switches together."""
    if postgresql():
        text, joined = "convert_from(value, 'UTF8')", "string_agg(name, ',')"
    else:
        text, joined = "CAST(value AS TEXT)", "group_concat(name, ',')"
    needs = f"SELECT {text} FROM facts WHERE name = '{NEEDS}'"  # nosec B608 # constants only
    off = f"SELECT {joined} FROM switches"  # nosec B608 # constants only
    return (
        f"SELECT version_num || '|' || coalesce(({needs}), '')"  # nosec B608 # constants only
        f" || '|' || coalesce(({off}), '') FROM alembic_version"
    )


def status(state: SchemaState) -> Status:
    """Return whether the state of the schema matches this code."""
    numbers = known()
    head, current = numbers[-1] if numbers else "", state.revision
    if current is None:
        return Status(None, head, numbers, compatible=True)
    if current in numbers:
        pending = tuple(number for number in numbers if number > current)
        return Status(current, head, pending, compatible=True)
    later = bool(_NUMBER.fullmatch(current)) and current > head and state.noted == current
    return Status(current, head, (), compatible=later and (state.needs or "") <= head)


def needs_of(migrations: Mapping[str, Any]) -> str:
    """Return the oldest code that still works after all these migrations.

    :param migrations: modules by revision; one that breaks older code defines ``oldest_code``.
    """
    declared = [str(getattr(migration, "oldest_code", "")) for migration in migrations.values()]
    return max(["0001", *filter(None, declared)])
