"""The sync command: what is new, how the server differs, and what is accepted by hand."""

from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import Choices, command, pass_choices
from vaultr.client.cli.sdk_session import opened
from vaultr.client.cli.step_up import proven
from vaultr.client.errors import IntegrityError, StepUpRequired, UsageError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Accepted, Difference, SyncReport, Vaultr


@command("sync", "vaultr sync", "vaultr sync --explain", "vaultr sync --accept")
@click.option(
    "--explain", is_flag=True, help="Only list in which items this device and the server differ."
)
@click.option(
    "--accept",
    is_flag=True,
    help="Take over what --explain lists, and write again what the server lost: after a server was"
    " restored from an older backup, and its owner is sure of that.",
)
@click.option("--yes", is_flag=True, help="Accept what is listed without being asked.")
@pass_choices
def sync(choices: Choices, explain: bool, accept: bool, yes: bool) -> None:
    """Fetch what is new, and check it.

    What comes must continue what this device knows; if it does not, nothing is taken over.

    The revision and the short head can be compared with those of another device.
    """
    if explain and accept:
        raise UsageError("--explain only lists, --accept lists and takes over: say one of them.")
    if yes and not accept:
        raise UsageError("--yes belongs to --accept.")
    if explain or accept:
        with opened(choices) as vaultr:
            if accept:
                _accept(choices, vaultr, yes=yes)
            else:
                _explain(choices, vaultr)
        return
    with opened(choices) as vaultr:
        reports = vaultr.sync()
    if choices.json:
        output.as_json([_report_json(each) for each in reports])
        return
    head = ("VAULT", "REVISION", "HEAD", "RECEIVED", "REMOVED")
    rows = ((r.name, str(r.n), r.head, str(r.received), str(r.removed)) for r in reports)
    output.table(head, rows)


def _report_json(report: "SyncReport") -> dict[str, object]:
    return {
        "id": str(report.id),
        "name": report.name,
        "revision": report.n,
        "head": report.head,
        "received": report.received,
        "removed": report.removed,
    }


def _explain(choices: Choices, vaultr: "Vaultr") -> None:
    differences = vaultr.explain()
    if choices.json:
        output.as_json([_difference_json(each) for each in differences])
    elif differences:
        output.table(_HEAD, map(_row, differences))
    if not all(each.continues for each in differences):
        raise NotVerified("What the server shows is not what this device can verify.")
    output.tell(
        "What is new continues what this device knows: vaultr sync takes it over."
        if differences
        else "This device and the server agree."
    )


class NotVerified(IntegrityError):
    """What the server shows does not continue what this device knows."""

    advice = (
        "If the server was restored from an older backup, and you know that: vaultr sync --accept "
        "takes over what is listed, and writes again what the server lost. Else do not."
    )


_HEAD = ("VAULT", "ITEM", "HOW THE SERVER DIFFERS")


def _row(difference: "Difference") -> tuple[str, ...]:
    if difference.vault_id is None:
        return "the profile", "", difference.how
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


def _accept(choices: Choices, vaultr: "Vaultr", *, yes: bool) -> None:
    try:
        accepted = vaultr.accept_on()
    except StepUpRequired:
        proven(choices, vaultr)
        accepted = vaultr.accept_on()
    if accepted is None:
        differences = vaultr.explain()
        if not any(not each.continues for each in differences):
            output.tell("Nothing has to be accepted: vaultr sync takes over what is new.")
            return
        _ask(differences, yes=yes, was_listed=vaultr.was_listed())
        try:
            accepted = vaultr.accept()
        except StepUpRequired:
            proven(choices, vaultr)
            accepted = vaultr.accept_on() or vaultr.accept()
    if choices.json:
        output.as_json([_accepted_json(each) for each in accepted])
        return
    for one in accepted:
        _tell(one)


def _ask(differences: "list[Difference]", *, yes: bool, was_listed: bool) -> None:
    """Show the list and ask, unless it was shown by a command before and nobody is there."""
    for each in differences:
        output.tell("  ".join(output.printable(cell) for cell in _row(each) if cell))
    if yes or (was_listed and not prompts.can_ask()):
        return
    if not prompts.can_ask():
        raise UsageError("Look at this list first; then say vaultr sync --accept again.")
    prompts.confirmed(
        "Was the server restored from a backup, and shall its state be taken over, and what it"
        " lost be written again?",
        yes=False,
    )


def _tell(one: "Accepted") -> None:
    name = output.printable(one.name)
    output.say(
        f"{name}: accepted at {one.n} {one.head}, {output.items(len(one.again))} written again."
    )
    for each in one.again:
        output.say(f"  {each.item_id}  {each.why}")
    if one.repaired:
        output.say("  Its last entry did not vouch for it; a repair does now.")
    if one.keys_lost:
        output.say("  Its keys had been replaced since the backup, so they were replaced again.")


def _accepted_json(one: "Accepted") -> dict[str, object]:
    return {
        "id": str(one.vault_id),
        "name": one.name,
        "revision": one.n,
        "head": one.head,
        "again": [{"item_id": str(each.item_id), "why": each.why} for each in one.again],
        "repaired": one.repaired,
        "keys_lost": one.keys_lost,
    }
