"""`flask backup`: create, list, verify, restore, prune, drill."""

from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from vaultr import clock
from vaultr.backup import drill as drills
from vaultr.backup import restore as restores
from vaultr.backup import retention
from vaultr.backup import verify as verification
from vaultr.backup.create import create as make
from vaultr.backup.folder import Folder
from vaultr.backup.locations import location
from vaultr.backup.restore import Restored
from vaultr.backup.storage import Location
from vaultr.operator_cli import command, json_option, show
from vaultr.settings.model import current_settings

backup = AppGroup("backup", help="Make, verify and restore backups.")

_folder = click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the backups (default: BACKUP_LOCATION)",
)
_file = click.argument("file", metavar="FILE")


@backup.command("create")
@_folder
@click.option(
    "--keep-days", type=click.IntRange(1), help="Then prune: days of which to keep all backups"
)
@click.option(
    "--keep-monthly", type=click.IntRange(0), help="Then prune: months of which to keep one backup"
)
@json_option
@command
def create(
    *, folder: Path | None, keep_days: int | None, keep_monthly: int | None, as_json: bool
) -> None:
    """Back up the database, sealed for BACKUP_RECIPIENT, and print the name.

    Needs no private key, so this process cannot open a backup. Server keys are not included: store
    them apart (docs/backups.md).

    Example: flask backup create --dir /backups
    """
    if (keep_days is None) != (keep_monthly is None):
        raise click.UsageError("Use --keep-days and --keep-monthly together.")
    place = location(folder)
    done = make(current_settings(), place)
    if keep_days is not None and keep_monthly is not None:
        retention.prune(place, clock.now(), keep_days=keep_days, keep_monthly=keep_monthly)
    answer = {
        "file": done.name,
        "bytes": done.size,
        "seconds": round(done.seconds, 2),
        "rows": done.manifest.rows,
        "revision": done.manifest.revision,
    }
    show(answer, as_json=as_json, lines=lambda: [done.name])


@backup.command("list")
@_folder
@json_option
@command
def list_backups(*, folder: Path | None, as_json: bool) -> None:
    """List the backups at the location, oldest first.

    Example: flask backup list --json
    """
    stored = location(folder).list()
    rows = [
        {"name": backup.name, "time": clock.text(backup.created_at), "bytes": backup.size}
        | {"verified": backup.verified}
        for backup in stored
    ]
    lines = [
        f"{backup.name}  {backup.created_at:%Y-%m-%d %H:%M}  {backup.size:>12}"
        f"  {'verified' if backup.verified else 'not verified'}"
        for backup in stored
    ]
    show(rows, as_json=as_json, lines=lambda: lines)


@backup.command("verify")
@_file
@_folder
@json_option
@command
def verify(file: str, *, folder: Path | None, as_json: bool) -> None:
    """Restore FILE into a scratch database, check it, remove the database.

    Checks every table, constraint, vault log and audit event, and the server keys that the data
    needs. FILE is a path, or a name at the location.

    Example: flask backup verify /backups/vaultr-20261130T020000Z-0a1b2c.tar.age
    """
    settings = current_settings()
    place, name = _location_and_name(file, folder)
    done = verification.verify(settings, place, name)
    answer = {"ok": True, **done.facts()}
    lines = [f"{name}: verified, {done.manifest.rows} rows, schema {done.manifest.revision}"]
    show(answer, as_json=as_json, lines=lambda: lines)


@backup.command("restore")
@_file
@click.option("--into", required=True, metavar="URL", help="Empty database to restore into")
@click.option(
    "--into-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the password for --into",
)
@_folder
@json_option
@command
def restore(
    file: str, *, into: str, into_file: Path | None, folder: Path | None, as_json: bool
) -> None:
    """Restore FILE into an empty database, with roles and rights.

    Reads the whole backup and checks its keys before it writes anything.

    Example: flask backup restore FILE --into postgresql://postgres@db/vaultr_restored
    """
    settings = current_settings()
    url = restores.target_url(into, into_file)
    place, name = _location_and_name(file, folder)
    done = restores.restore(settings, place, name, url)
    todo = _next_steps(done)
    answer: dict[str, Any] = {
        "file": name,
        "rows": done.manifest.rows,
        "revision": done.manifest.revision,
        "seconds": round(done.seconds, 2),
        "next": todo,
    }
    lines = [f"restored {done.manifest.rows} rows of {done.manifest.created_at:%Y-%m-%d %H:%M} UTC"]
    lines += ["Next:", *(f"  {number}. {one}" for number, one in enumerate(todo, 1))]
    show(answer, as_json=as_json, lines=lambda: lines)


def _location_and_name(file: str, folder: Path | None) -> tuple[Location, str]:
    """Return the location and name of a backup, which is a path or a name."""
    path = Path(file)
    if folder is None and (path.parent != Path() or path.exists()):
        return Folder(path.parent), path.name
    return location(folder), file


def _next_steps(done: Restored) -> list[str]:
    todo = []
    if done.new_roles:
        todo.append(
            f"Set the passwords of the new roles {', '.join(done.new_roles)}: run"
            " deploy/postgres/roles.sql (docs/runbook.md, Restore)."
        )
    elif done.manifest.engine == "postgresql" and not done.roles:
        todo.append(
            "The role in --into may not create roles, so it owns all tables. For separate roles,"
            " run deploy/postgres/roles.sql as a superuser (docs/runbook.md, Restore)."
        )
    if done.older_schema:
        todo.append(
            f"The schema {done.manifest.revision} is older than this version: run `flask db"
            " upgrade` as the owner of the tables."
        )
    return [
        *todo,
        "Set DATABASE_URL to the restored database, run `flask keys status` and `flask doctor`,"
        " then start worker and server.",
        "Announce the restore with the sequencer's key: `flask audit reopen --reason TEXT`.",
        "Inform users: a client that saw later writes lists them, and `vaultr sync --accept` writes"
        " back what a device still has.",
    ]


@backup.command("drill")
@_folder
@click.option(
    "--rto", type=float, default=3600, show_default=True, help="Seconds that a restore may take"
)
@click.option(
    "--rpo", type=float, default=86400, show_default=True, help="Age in seconds of the last backup"
)
@json_option
@command
def drill(*, folder: Path | None, rto: float, rpo: float, as_json: bool) -> None:
    """Restore and verify the newest backup in an empty database, and measure it.

    Exits with 1 if the restore fails or misses an objective.

    Example: flask backup drill --rto 3600 --rpo 86400 --json
    """
    settings = current_settings()
    done = drills.drill(settings, location(folder), rto=rto, rpo=rpo)
    line = f"RTO {done.seconds:.1f} s, RPO {done.rpo_seconds or 0:.0f} s, {done.rows} rows"
    lines = [f"{'ok' if done.ok else 'FAILED'}: {done.problem or line}"]
    show(done.as_json(), as_json=as_json, lines=lambda: lines)
    if not done.ok:
        raise SystemExit(1)


@backup.command("prune")
@_folder
@click.option(
    "--keep-days", type=click.IntRange(0), required=True, help="Days of which to keep all backups"
)
@click.option(
    "--keep-monthly",
    type=click.IntRange(0),
    required=True,
    help="Months of which to keep one backup",
)
@click.option("--dry-run", is_flag=True, help="List only; remove nothing")
@json_option
@command
def prune(
    *, folder: Path | None, keep_days: int, keep_monthly: int, dry_run: bool, as_json: bool
) -> None:
    """Remove old backups, but never the newest verified one.

    A backup that an object lock of the bucket protects stays until the lock ends.

    Example: flask backup prune --keep-days 30 --keep-monthly 12 --dry-run
    """
    place = location(folder)
    done = retention.prune(
        place, clock.now(), keep_days=keep_days, keep_monthly=keep_monthly, dry_run=dry_run
    )
    word = "would be removed" if dry_run else "removed"
    lines = [f"{name} {word}" for name in done.removed]
    lines += [f"{name} is still locked and was not removed" for name in done.locked]
    lines.append(f"{len(done.removed)} {word}, {done.left} stay")
    answer = {"dry_run": dry_run, "removed": done.removed, "locked": done.locked, "left": done.left}
    show(answer, as_json=as_json, lines=lambda: lines)
