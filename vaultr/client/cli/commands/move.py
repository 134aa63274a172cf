"""The command `vaultr move`, which moves or copies items to another vault."""

import click

from vaultr.client.cli import output
from vaultr.client.cli.commands.add_edit import warn_of_duplicate_title
from vaultr.client.cli.completers import item_titles, vault_names
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError


@command(
    "move",
    "vaultr move Mail Bank --to Work",
    "vaultr move Mail --to Work --keep",
    "vaultr move --resume",
    no_args_is_help=True,
)
@click.argument("items", metavar="[ITEM]...", nargs=-1, shell_complete=item_titles)
@click.option("--to", metavar="VAULT", help="Target vault", shell_complete=vault_names)
@click.option("--keep", is_flag=True, help="Copy the items; do not remove the originals")
@click.option("--resume", is_flag=True, help="Continue an interrupted move")
@vault_option("Vault of the items, by id or name")
@pass_options
def move(
    options: GlobalOptions,
    items: tuple[str, ...],
    to: str | None,
    keep: bool,
    resume: bool,
    vault: str | None,
) -> None:
    """Move items to another vault.

    Each ITEM is an id or its exact, unique title. The items get new ids in the target vault. The
    originals go to the trash with their versions, for 30 days.

    Each item is written to the target vault before it is removed from its own. If a move is
    interrupted, an item may be in both vaults: run the same command again, or use --resume.
    """
    if resume:
        if items or to or keep or vault:
            raise UsageError(
                "--resume continues the interrupted move. Do not combine it with items or options."
            )
    elif not items or to is None:
        raise UsageError("Name the items and the target vault: vaultr move ITEM... --to VAULT")
    with unlocked_sdk(options) as vaultr:
        if resume:
            moved = vaultr.resume_move()
        elif keep:
            moved = vaultr.copy(*items, to=to or "", vault=vault)
        else:
            moved = vaultr.move(*items, to=to or "", vault=vault)
        for each in moved:
            warn_of_duplicate_title(vaultr, each)
    if options.json:
        output.print_json([output.item_json(each, reveal=False) for each in moved])
        return
    for each in moved:
        done = "Copied" if keep else "Moved"
        output.print_line(f"{done}: {output.printable(each.title)} ({each.id})")
    if not moved:
        output.print_note("No interrupted move was found.")
