"""The audit commands: list, verify and export the events that the server recorded."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import GlobalOptions, Group, command, pass_options
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.audit.verify import AuditReport

_CANNOT_PROVE = (
    "Nothing proves that this key replaces the one that your devices know: anybody who controls "
    "the server can create a key with a different log. First ask the operator for the fingerprint "
    "over another channel, such as the phone, and compare it (the operator runs: flask audit "
    "status)."
)


@click.group("audit", cls=Group, examples=("vaultr audit verify",))
def audit() -> None:
    """List and verify what the server recorded about you."""


@command("list", "vaultr audit list --action auth.login --since 2026-11-01T00:00:00Z")
@click.option("--action", metavar="TYPE", help="Only events of this type or family")
@click.option("--since", metavar="TIME", help="Only events from this time on (RFC 3339, UTC)")
@click.option("--until", metavar="TIME", help="Only events before this time")
@pass_options
def list_events(
    options: GlobalOptions, action: str | None, since: str | None, until: str | None
) -> None:
    """List your events, newest first, without checking them."""
    with unlocked_sdk(options) as vaultr:
        events = list(vaultr.audit_events(action=action, since=since, until=until))
    if options.json:
        output.print_json(events)
        return
    rows = []
    for event in events:
        body = json.loads(event["body"])
        place = "pending" if event["index"] is None else f"{event['epoch']}/{event['index']}"
        network = (body.get("net") or {}).get("prefix", "")
        rows.append((body["t"], body["typ"], body["out"], network, place))
    output.print_table(("TIME", "TYPE", "RESULT", "NETWORK", "PLACE"), rows)


@command("verify", "vaultr audit verify", "vaultr audit verify --bundle audit.jsonl")
@click.option(
    "--bundle",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Check this exported file, without the server",
)
@pass_options
def verify(options: GlobalOptions, bundle: Path | None) -> None:
    """Check that the log is consistent and contains your events."""
    if bundle is not None:
        _verify_bundle(options, bundle)
        return
    with unlocked_sdk(options) as vaultr:
        report = vaultr.verify_audit()
    line = (
        f"Verified: section {report.pinned.checkpoint.epoch} of the log with "
        f"{report.pinned.checkpoint.size} events. Your new events: {report.events}. Changes of "
        f"your vaults compared: {report.heads}."
    )
    output.print_result(options.json, _report_json(report), line)


def _report_json(report: "AuditReport") -> dict[str, object]:
    one = report.pinned.checkpoint
    return {
        "log": one.log,
        "epoch": one.epoch,
        "size": one.size,
        "events": report.events,
        "heads": report.heads,
        "key": report.pinned.keys[-1].fingerprint,
    }


def _verify_bundle(options: GlobalOptions, path: Path) -> None:
    options.may_use_copy = True
    with unlocked_sdk(options) as vaultr, path.open(encoding="utf-8") as lines:
        verified = vaultr.verify_bundle(lines)
    answer = {
        "log": verified.log,
        "account": verified.account,
        "events": len(verified.events),
        "trees": sorted(verified.checkpoints),
    }
    events, sections = len(verified.events), len(verified.checkpoints)
    line = f"Verified: {events} events in {sections} sections of the log."
    output.print_result(options.json, answer, line)


@command("export", "vaultr audit export --out audit.jsonl")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="New file to write the events to",
)
@pass_options
def export(options: GlobalOptions, out: Path) -> None:
    """Write your events with their proofs to a file."""
    with unlocked_sdk(options) as vaultr:
        text = vaultr.export_audit()
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{out} already exists. Choose another name.") from None
    count = max(0, len(text.splitlines()) - 1)
    output.print_result(options.json, {"out": str(out), "lines": count}, f"Wrote {out}.")


@command("accept-key", "vaultr audit accept-key 5f2b…")
@click.argument("fingerprint", metavar="FINGERPRINT")
@click.option("--yes", is_flag=True, help="Accept without confirmation")
@pass_options
def accept_key(options: GlobalOptions, fingerprint: str, yes: bool) -> None:
    """Trust a new signing key of the log after you compared it.

    FINGERPRINT is the fingerprint of the key. Ask the operator of the server for it.
    """
    with unlocked_sdk(options) as vaultr:
        output.print_note(_CANNOT_PROVE)
        prompts.confirm("Do you accept this key?", yes=yes)
        pinned = vaultr.accept_audit_key(fingerprint)
    answer = {"key": pinned.keys[-1].fingerprint, "log": pinned.checkpoint.log}
    output.print_result(options.json, answer, "The key is accepted.")


for _each in (list_events, verify, export, accept_key):
    audit.add_command(_each)
