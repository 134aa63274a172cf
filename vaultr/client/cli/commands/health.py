"""The health command: which passwords should be changed."""

import contextlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output
from vaultr.client.cli.offline_options import Duration, copy_options, uses_copy
from vaultr.client.cli.options import (
    GlobalOptions,
    breach_file_option,
    command,
    pass_options,
    vault_option,
)
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.password_health.findings import Finding

# The kinds in vaultr.client.password_health.findings, which is slow to import.
_KINDS = ("reused", "weak", "old", "expiring", "no-second-factor", "breached")
_FAILED = 1


@command(
    "health",
    "vaultr health",
    "vaultr health --fail-on reused,weak --json",
    "vaultr health --breach-file pwned-passwords-sha1.txt",
)
@click.option(
    "--fail-on", metavar="KINDS", help="Exit with 1 if one of these is found (comma-separated)"
)
@click.option(
    "--old",
    type=Duration(),
    default="730d",
    help="Report passwords that are older than this",
    metavar="T",
)
@click.option(
    "--expiring",
    type=Duration(),
    default="30d",
    help="Report items that expire within this time",
    metavar="TIME",
)
@breach_file_option("Sorted list of SHA-1 hashes of breached passwords")
@copy_options
@vault_option("Only this vault, by id or name")
@pass_options
def health(
    options: GlobalOptions,
    /,
    fail_on: str | None,
    old: timedelta,
    expiring: timedelta,
    breach_file: Path | None,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Find weak, reused, old and expiring passwords.

    Kinds are reused, weak, old, expiring, no-second-factor and breached. All checks run on this
    device. The report names items by title and never shows a value.
    """
    wanted = _kinds(fail_on)
    from vaultr.client.password_health import findings  # noqa: PLC0415 - would slow other commands
    from vaultr.client.password_health.breach_file import BreachFile  # noqa: PLC0415 - would slow others

    limits = findings.Limits(datetime.now(UTC).date(), old, expiring)
    with contextlib.ExitStack() as stack:
        hashes = stack.enter_context(BreachFile(breach_file)) if breach_file else None
        vaultr = stack.enter_context(unlocked_sdk(options))
        copy = uses_copy(vaultr, offline=offline, max_age=max_age)
        items = list(vaultr.each_revealed(vault=vault, offline=copy))
        found = findings.findings(items, limits, hashes.count if hashes else None)
    _show(options, found, len(items))
    if any(each.kind in wanted for each in found):
        click.get_current_context().exit(_FAILED)


def _kinds(text: str | None) -> set[str]:
    kinds = {each.strip() for each in (text or "").split(",") if each.strip()}
    if unknown := kinds - set(_KINDS):
        raise UsageError(
            f"--fail-on does not know {', '.join(sorted(unknown))}. Use: {', '.join(_KINDS)}."
        )
    return kinds


def _show(options: GlobalOptions, found: "list[Finding]", items: int) -> None:
    if options.json:
        listed = [
            {
                "kind": each.kind,
                "id": str(each.item.id),
                "vault_id": str(each.item.vault_id),
                "title": each.item.title,
                "message": each.message,
            }
            for each in found
        ]
        counts = Counter(each.kind for each in found)
        output.print_json({"items": items, "counts": dict(counts), "findings": listed})
        return
    rows = [
        (
            each.kind,
            output.shortened(output.display_name(each.item)),
            each.message,
            str(each.item.id),
        )
        for each in found
    ]
    output.print_table(("KIND", "TITLE", "FINDING", "ID"), rows)
    if not found:
        output.print_note(f"Nothing to report in {output.items(items)}.")
