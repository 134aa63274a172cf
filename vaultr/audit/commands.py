"""`flask audit`: show and verify the audit log, and manage its retention."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import sqlalchemy as sa

from vaultr import operator_cli
from vaultr.audit import checkup, export, retention, sequencer, status
from vaultr.audit.errors import CannotCompare
from vaultr.audit.verification import bundle as bundles
from vaultr.audit.verification import run
from vaultr.audit.verification.findings import Findings
from vaultr.operator_cli import json_option, show
from vaultr.security import keyring

UNVERIFIABLE = 2
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("audit")
def audit() -> None:
    """Show and verify the audit log, and manage its retention."""


@audit.command("status")
@json_option
@operator_cli.command
def show_status(*, as_json: bool) -> None:
    """Show tree, lag, keys, anchors and holds.

    Example: flask audit status --json
    """
    found = status.status()
    show(found, as_json=as_json, lines=lambda: status.lines(found))


@audit.command("verify")
@click.option("--anchors", type=_FILE, help="Checkpoints from an anchor, to compare with")
@click.option("--cross", is_flag=True, help="Also compare with the business tables")
@click.option(
    "--signer", is_flag=True, help="Also compare with the signer's state and this server's anchors"
)
@click.option(
    "--since",
    type=click.Path(dir_okay=False, path_type=Path),
    help="State file to continue from and to update",
)
@click.option("--bundle", type=_FILE, help="Verify this exported file, without the database")
@json_option
@operator_cli.command
def verify(
    *,
    anchors: Path | None,
    cross: bool,
    signer: bool,
    since: Path | None,
    bundle: Path | None,
    as_json: bool,
) -> None:
    """Verify the stored log.

    Exits with 0 if the log is verified, 1 if it was tampered with, 2 if it cannot be verified, 3 if
    checkpoints are late.

    Example: flask audit verify --anchors /var/lib/anchors/checkpoints --cross
    """
    if bundle is not None and (cross or signer or since):
        raise click.UsageError("Use --bundle without --cross, --signer and --since.")
    state: dict[str, Any] = {}
    try:
        keys, known = keyring.current().audit.keys.by_id, _anchors_of(anchors)
        if bundle is not None:
            with bundle.open(encoding="utf-8") as lines:
                findings = bundles.verify(lines, keys=keys, anchors=known)
        else:
            known += checkup.signed_notes() if signer else []
            options = run.Options(keys=keys, anchors=known, cross=cross, since=_state_of(since))
            findings, state = run.verify(options)
    except (CannotCompare, OSError, UnicodeDecodeError, sa.exc.DBAPIError) as error:
        says = error.detail if isinstance(error, CannotCompare) else type(error).__name__
        click.echo(f"cannot verify: {says}", err=True)
        raise SystemExit(UNVERIFIABLE) from error
    show(findings.as_json(), as_json=as_json, lines=lambda: list(_lines(findings)))
    if since is not None and findings.exit_code in (0, 3):
        since.write_text(json.dumps(state), "utf-8")
    raise SystemExit(findings.exit_code)


def _anchors_of(path: Path | None) -> list[str]:
    return [] if path is None else anchor_notes(path.read_text("utf-8"))


def anchor_notes(text: str) -> list[str]:
    """Split an anchor file into its notes, one JSON text per line.

    A truncated last line is ignored; any other line that is not JSON fails verification.
    """
    return [_note(line) for line in text.split("\n")[:-1] if line]


def _note(line: str) -> str:
    try:
        return str(json.loads(line))
    except ValueError:
        return line


def _state_of(path: Path | None) -> dict[str, Any] | None:
    """Read the state of the last verification.

    :raises CannotCompare: it is malformed.
    """
    if path is None or not path.exists():
        return None
    try:
        state = json.loads(path.read_text("utf-8"))
        run.check_state(state)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CannotCompare(
            f"{path} is not a state file of `flask audit verify --since`."
        ) from None
    return dict(state)


def _lines(findings: Findings) -> Iterator[str]:
    for finding in findings.listed:
        place = "" if finding.epoch is None else f" [{finding.epoch}/{finding.index}]"
        yield f"{finding.kind.value:12} {finding.check}{place}: {finding.says}"
    words = {0: "verified", 1: "TAMPERED", 2: "cannot verify", 3: "verified, but lagging"}
    yield f"{words[findings.exit_code]}: {findings.events} events in {findings.trees} trees"


@audit.command("export")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write"
)
@json_option
@operator_cli.command
def export_log(*, out: Path, as_json: bool) -> None:
    """Write the whole log to a file that can be verified offline.

    Example: flask audit export --out audit-log.jsonl
    """
    count = 0
    try:
        file = out.open("x", encoding="utf-8")
    except OSError as error:
        why = f"{out} cannot be created: {error.strerror}. Choose another file with --out."
        raise click.ClickException(why) from None
    with file:
        for line in export.lines():
            file.write(line)
            count += 1
    show({"out": str(out), "lines": count}, as_json=as_json, lines=lambda: [f"wrote {out}"])


@audit.command("prune")
@operator_cli.option
@json_option
@operator_cli.command
def prune(*, by: str, as_json: bool) -> None:
    """Delete trees older than AUDIT_RETENTION_MONTHS; run as the tables' owner.

    Example: flask audit prune --by ann
    """
    pruned = retention.prune(by=by)
    show({"pruned": pruned}, as_json=as_json, lines=lambda: [f"pruned trees: {pruned or 'none'}"])


@audit.command("redact")
@click.argument("event", metavar="EVENT", type=click.UUID)
@click.option("--reason", required=True, help="Reason, for the audit log")
@operator_cli.option
@json_option
@operator_cli.command
def redact(*, event: UUID, reason: str, by: str, as_json: bool) -> None:
    """Delete the personal details of an event; run as the tables' owner.

    Example: flask audit redact 0193… --reason "erasure request 17"
    """
    retention.redact(event, reason=reason, by=by)
    show({"redacted": str(event)}, as_json=as_json, lines=lambda: ["redacted"])


@audit.command("hold")
@click.argument("name", metavar="NAME")
@click.option("--reason", required=True, help="Reason, for the audit log")
@click.option("--lift", is_flag=True, help="Lift this hold")
@operator_cli.option
@json_option
@operator_cli.command
def hold(*, name: str, reason: str, lift: bool, by: str, as_json: bool) -> None:
    """Set or lift a legal hold, which blocks pruning; run as the tables' owner.

    Example: flask audit hold case-17 --reason "court order"
    """
    (retention.lift if lift else retention.hold)(name, reason=reason, by=by)
    answer: dict[str, Any] = {"hold": name, "set": not lift}
    show(answer, as_json=as_json, lines=lambda: ["lifted" if lift else "set"])


@audit.command("reopen")
@click.option("--reason", required=True, help="Why the database was restored, for the audit log")
@operator_cli.option
@json_option
@operator_cli.command
def reopen(*, reason: str, by: str, as_json: bool) -> None:
    """Open a new tree after you restored the database.

    Run this with the sequencer's settings and state, while the sequencer is stopped. The reason is
    recorded in the audit log.

    Example: flask audit reopen --reason "restored the backup of 2026-11-24"
    """
    checkpoint = sequencer.reopen(reason, by=by)
    answer = {"epoch": checkpoint.epoch, "size": checkpoint.size}
    show(answer, as_json=as_json, lines=lambda: [f"tree {checkpoint.epoch} is open"])
