"""`flask canary`: search everything that the server stores for planted secrets."""

from collections.abc import Sequence
from pathlib import Path

import click
from flask.cli import AppGroup

from vaultr.backup import canary as canaries
from vaultr.backup.canary import Searched
from vaultr.backup.errors import NotConfigured
from vaultr.backup.locations import location
from vaultr.backup.sinks import SINKS, Places
from vaultr.backup.storage import Location
from vaultr.operator_cli import command, json_option, show
from vaultr.protocol.canary import Marker
from vaultr.settings.model import current_settings

canary = AppGroup("canary", help="Check that planted secrets are nowhere readable.")

_places = click.Path(exists=True, path_type=Path)


@canary.command("search")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--logs", multiple=True, type=_places, help="Log file, or folder of them")
@click.option("--metrics", multiple=True, metavar="URL", help="URL of metrics, or a file with them")
@click.option("--emails", multiple=True, type=_places, help="Email as file, or folder of them")
@click.option("--traces", multiple=True, type=_places, help="File of traces, or folder of them")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the backups (default: BACKUP_LOCATION)",
)
@click.option("--complete", is_flag=True, help="Also fail if a sink was not searched")
@json_option
@command
def search(
    *,
    file: Path,
    logs: tuple[Path, ...],
    metrics: tuple[str, ...],
    emails: tuple[Path, ...],
    traces: tuple[Path, ...],
    folder: Path | None,
    complete: bool,
    as_json: bool,
) -> None:
    """Search all sinks for the markers that `vaultr canary plant` wrote to FILE.

    The sinks are database, dump, Redis, logs, metrics, emails, traces and the newest backup. Each
    marker is searched in plain form, in the usual encodings and inside compressed data. Exits with
    1 if one is found.

    Example: flask canary search canary.json --logs /var/log/vaultr --complete
    """
    places = Places(_location(folder), logs, metrics, emails, traces)
    markers = canaries.markers_of(file)
    results = canaries.search(current_settings(), markers, places)
    found = any(result.found for result in results)
    skipped = [result.sink for result in results if result.size is None]
    ok = not found and not (complete and skipped)
    answer = {"ok": ok, "markers": len(markers), "sinks": [_as_json(result) for result in results]}
    show(answer, as_json=as_json, lines=lambda: _lines(markers, results, found=found))
    if not ok:
        raise SystemExit(1)


def _location(folder: Path | None) -> Location | None:
    try:
        return location(folder)
    except NotConfigured:
        return None


def _as_json(one: Searched) -> dict[str, object]:
    searched = one.size is not None
    return {"sink": one.sink, "searched": searched, "bytes": one.size, "found": list(one.found)} | {
        "note": one.note
    }


def _lines(markers: Sequence[Marker], results: Sequence[Searched], *, found: bool) -> list[str]:
    """Return a table of markers by sinks, and what was searched."""
    width = max(len("MARKER"), *(len(marker.name) for marker in markers))
    lines = ["  ".join([f"{'MARKER':{width}}", *(sink.upper() for sink in SINKS)]).rstrip()]
    for marker in markers:
        cells = [f"{_cell(marker, result):{len(result.sink)}}" for result in results]
        lines.append("  ".join([f"{marker.name:{width}}", *cells]).rstrip())
    lines.append("")
    for result in results:
        size = "not searched" if result.size is None else f"{result.size} bytes"
        lines.append(f"{result.sink}: {size}: {result.note}")
    lines.append("FAILED: markers were found" if found else "ok: no marker was found")
    return lines


def _cell(marker: Marker, one: Searched) -> str:
    if one.size is None:
        return ""
    return "FOUND" if marker.name in one.found else "-"
