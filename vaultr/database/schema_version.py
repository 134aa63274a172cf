"""Which schema the database has, and whether this code runs on it.

Revisions are numbered. Code runs on the newest one that it knows, and on later ones whose
migrations only added things, because a migration runs beside the code before it. What later
migrations ask for, the database says itself: `migrations/env.py` notes it under `NEEDS` together
with the revision, so that a number that nobody migrated to is not taken for a later one.
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
class Found:
    """What the database says of itself.

    :ivar revision: that of the schema; None before the first migration.
    :ivar noted: the revision for which ``needs`` was noted.
    :ivar needs: the oldest code that works, by the newest revision that it knows.
    :ivar switched_off: names of what an operator has switched off.
    """

    revision: str | None
    noted: str | None = None
    needs: str | None = None
    switched_off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """How schema and code go together; ``pending`` are migrations that were not run yet."""

    current: str | None
    head: str
    pending: tuple[str, ...]
    compatible: bool


def init_app(app: Flask, _settings: object) -> None:
    """Look once which revisions this code knows.

    Migrations lie beside the package in a checkout, and beside wsgi.py in the image, where the
    package itself is installed elsewhere.
    """
    for place in (Path(app.root_path).parent, Path.cwd()):
        found = (place / "migrations" / "versions").glob("[0-9]*.py")
        if numbers := sorted(path.name.partition("_")[0] for path in found):
            break
    _KNOWN.set(app, tuple(numbers))
    _FOLDER.set(app, place / "migrations")


def folder(app: Flask) -> str:
    """Return where the migrations lie, from wherever a command is typed."""
    return str(_FOLDER.get(app))


def known() -> tuple[str, ...]:
    """List the revisions that this code knows, the oldest first."""
    return _KNOWN.get()


def ask(seconds: float) -> Found:
    """Ask the database, on a connection made just for it.

    :raises NoAnswer: within ``seconds``.
    """
    try:
        text = engine.ask_alone(_everything(), seconds)
    except engine.NoTable:  # of a schema that is older than one of these tables
        try:
            text = engine.ask_alone("SELECT version_num FROM alembic_version", seconds)
        except engine.NoTable:
            return Found(None)
    if not text:
        return Found(None)
    revision, noted, off, *_ = [*str(text).split("|"), "", ""]
    of, _, needs = noted.partition(" ")
    names = tuple(sorted(filter(None, off.split(","))))
    return Found(revision, of or None, needs or None, names)


def _everything() -> str:
    """Write one statement for one round trip: revision, what it needs, what is switched off."""
    if postgresql():
        text, joined = "convert_from(value, 'UTF8')", "string_agg(name, ',')"
    else:
        text, joined = "CAST(value AS TEXT)", "group_concat(name, ',')"
    needs = f"SELECT {text} FROM facts WHERE name = '{NEEDS}'"  # nosec B608 # words of ours only
    off = f"SELECT {joined} FROM switches"  # nosec B608 # words of ours only
    return (
        f"SELECT version_num || '|' || coalesce(({needs}), '')"  # nosec B608 # words of ours only
        f" || '|' || coalesce(({off}), '') FROM alembic_version"
    )


def status(found: Found) -> Status:
    """Return how what was found goes together with this code."""
    numbers = known()
    head, current = numbers[-1] if numbers else "", found.revision
    if current is None:
        return Status(None, head, numbers, compatible=True)
    if current in numbers:
        pending = tuple(one for one in numbers if one > current)
        return Status(current, head, pending, compatible=True)
    later = bool(_NUMBER.fullmatch(current)) and current > head and found.noted == current
    return Status(current, head, (), compatible=later and (found.needs or "") <= head)


def needs_of(migrations: Mapping[str, Any]) -> str:
    """Return the oldest code that works once all these migrations were run.

    :param migrations: modules by revision; one that breaks older code says ``oldest_code``.
    """
    declared = [str(getattr(one, "oldest_code", "")) for one in migrations.values()]
    return max(["0001", *filter(None, declared)])
