"""The command `vaultr sync`, which fetches and verifies changes."""

from typing import TYPE_CHECKING, Final

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import GlobalOptions, command, pass_options
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.cli.step_up import step_up
from vaultr.client.errors import IntegrityError, StepUpRequired, UsageError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Accepted, Difference, SyncReport, Vaultr

_DIFFERENCE_COLUMNS: Final = ("VAULT", "ITEM", "HOW THE SERVER DIFFERS")


class NotVerified(IntegrityError):
    """The server's data does not continue what this device knows."""

    advice = (
        "Nothing was changed, and you can still read this device's copy with --offline. If you know"
        " that the server was restored from an older backup, run `vaultr sync --accept`: it accepts"
        " the differences and writes again what the server lost. Otherwise ask its operator."
    )


@command("sync", "vaultr sync", "vaultr sync --explain", "vaultr sync --accept")
@click.option("--explain", is_flag=True, help="List how this device and the server differ")
@click.option(
    "--accept",
    is_flag=True,
    help="Accept a restored server and write again what it lost",
)
@click.option("--yes", is_flag=True, help="Accept without confirmation")
@pass_options
def sync(options: GlobalOptions, explain: bool, accept: bool, yes: bool) -> None:
    """Fetch changes and verify them.

    Changes must continue the log that this device knows; otherwise nothing is applied. To check
    that two devices have seen the same changes, compare the revision and the short head
    that the command prints on each of them.

    Use --accept only if you know that the server was restored from an older backup. It lists the
    differences, as --explain does, and asks before it accepts them.
    """
    if explain and accept:
        raise UsageError("Use either --explain or --accept, not both.")
    if yes and not accept:
        raise UsageError("--yes needs --accept.")
    with unlocked_sdk(options) as vaultr:
        if accept:
            _accept(options, vaultr, yes=yes)
            return
        if explain:
            _explain(options, vaultr)
            return
        reports = vaultr.sync()
    if options.json:
        output.print_json([_report_json(each) for each in reports])
        return
    head = ("VAULT", "REVISION", "HEAD", "RECEIVED", "REMOVED")
    rows = ((r.name, str(r.n), r.head, str(r.received), str(r.removed)) for r in reports)
    output.print_table(head, rows)


def _report_json(report: "SyncReport") -> dict[str, object]:
    return {
        "id": str(report.id),
        "name": report.name,
        "revision": report.n,
        "head": report.head,
        "received": report.received,
        "removed": report.removed,
    }


def _explain(options: GlobalOptions, vaultr: "Vaultr") -> None:
    differences = vaultr.explain()
    if options.json:
        output.print_json([_difference_json(each) for each in differences])
    elif differences:
        output.print_table(_DIFFERENCE_COLUMNS, map(_row, differences))
    if not all(each.continues for each in differences):
        raise NotVerified(
            "The server's data does not continue what your devices have seen: it is older, "
            "incomplete or altered, as listed above."
        )
    output.print_note(
        "The server has verified changes. To fetch them: vaultr sync"
        if differences
        else "This device and the server agree."
    )


def _row(difference: "Difference") -> tuple[str, ...]:
    if difference.vault_id is None:
        return "profile", "", difference.how
    item = str(difference.item_id or "the vault itself")
    if difference.title:
        item = f"{item} {output.shortened(difference.title)}"
    return str(difference.vault_id), item, difference.how


def _difference_json(difference: "Difference") -> dict[str, object]:
    return {
        "vault_id": difference.vault_id and str(difference.vault_id),
        "item_id": difference.item_id and str(difference.item_id),
        "title": difference.title or None,
        "how": difference.how,
        "continues": difference.continues,
    }


def _accept(options: GlobalOptions, vaultr: "Vaultr", *, yes: bool) -> None:
    try:
        accepted = vaultr.accept_on()
    except StepUpRequired:
        step_up(options, vaultr)
        accepted = vaultr.accept_on()
    if accepted is None:
        differences = vaultr.explain()
        if all(each.continues for each in differences):
            output.print_note("There is nothing to accept. To fetch changes: vaultr sync")
            return
        _confirm(differences, yes=yes, was_listed=vaultr.was_listed())
        try:
            accepted = vaultr.accept()
        except StepUpRequired:
            step_up(options, vaultr)
            accepted = vaultr.accept_on() or vaultr.accept()
    if options.json:
        output.print_json([_accepted_json(each) for each in accepted])
        return
    for each in accepted:
        _print_accepted(each)


def _confirm(differences: "list[Difference]", *, yes: bool, was_listed: bool) -> None:
    """Print the differences and ask for confirmation.

    A script need not confirm if an earlier command has listed the same differences.
    """
    for each in differences:
        output.print_note("  ".join(output.printable(cell) for cell in _row(each) if cell))
    if yes or (was_listed and not prompts.can_ask()):
        return
    if not prompts.can_ask():
        raise UsageError("Review these differences first. To accept them: vaultr sync --accept")
    prompts.confirm(
        "Was the server restored from a backup? If so, accept its state and write again what it"
        " lost?",
        yes=False,
    )


def _print_accepted(accepted: "Accepted") -> None:
    name, rewritten = output.printable(accepted.name), output.items(len(accepted.again))
    output.print_line(
        f"{name}: accepted revision {accepted.n} ({accepted.head}); {rewritten} written again."
    )
    for each in accepted.again:
        output.print_line(f"  {each.item_id}  {each.why}")
    if accepted.repaired:
        output.print_line(
            "  No signed change confirmed this state of the vault. This device checked every item,"
            " and confirmed the state with a new signed change."
        )
    if accepted.keys_lost:
        output.print_line("  Its keys were rotated after the backup, so they were rotated again.")


def _accepted_json(accepted: "Accepted") -> dict[str, object]:
    return {
        "id": str(accepted.vault_id),
        "name": accepted.name,
        "revision": accepted.n,
        "head": accepted.head,
        "again": [{"item_id": str(each.item_id), "why": each.why} for each in accepted.again],
        "repaired": accepted.repaired,
        "keys_lost": accepted.keys_lost,
    }
