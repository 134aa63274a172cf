"""The move command: items to another vault."""

import click

from vaultr.client.cli import duplicate_titles, output
from vaultr.client.cli.completers import item_titles, vault_names
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
from vaultr.client.errors import UsageError


@command(
    "move",
    "vaultr move Mail Bank --to Work",
    "vaultr move Mail --to Work --keep",
    "vaultr move --resume",
    no_args_is_help=True,
)
@click.argument("items", metavar="[ITEM]...", nargs=-1, shell_complete=item_titles)
@click.option("--to", metavar="VAULT", help="The other vault.", shell_complete=vault_names)
@click.option("--keep", is_flag=True, help="Leave the items where they are, too: copy them.")
@click.option("--resume", is_flag=True, help="Go on with a move that was interrupted here.")
@vault_option("The vault that they are in, by id or name.")
@pass_choices
def move(
    choices: Choices,
    items: tuple[str, ...],
    to: str | None,
    keep: bool,
    resume: bool,
    vault: str | None,
) -> None:
    """Move items to another vault.

    Each ITEM is an id, or the exact title that only one item has. They get new ids in the other
    vault. In their own they go to the trash, with their versions, for 30 days.

    Every item is in the other vault before it leaves its own: interrupted, it is in both at worst,
    and the same command goes on.
    """
    if resume:
        if items or to or keep or vault:
            raise UsageError("--resume goes on with what was begun, and takes nothing else.")
    elif not items or to is None:
        raise UsageError("Say which items, and --to which vault.")
    with opened(choices) as vaultr:
        if resume:
            moved = vaultr.resume_move()
        elif keep:
            moved = vaultr.copy(*items, to=to or "", vault=vault)
        else:
            moved = vaultr.move(*items, to=to or "", vault=vault)
        for each in moved:
            duplicate_titles.warn(vaultr, each)
    if choices.json:
        output.as_json([output.item_json(each, reveal=False) for each in moved])
        return
    for each in moved:
        done = "Copied" if keep else "Moved"
        output.say(f"{done}: {output.printable(each.title)} ({each.id})")
    if not moved:
        output.tell("There was nothing to go on with.")
