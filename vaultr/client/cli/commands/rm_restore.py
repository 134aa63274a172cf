"""Commands that trash items, remove them and take them back: rm and restore."""

from typing import TYPE_CHECKING

import click

from vaultr.client.cli import duplicate_titles, output, prompts
from vaultr.client.cli.commands.add_edit import answer
from vaultr.client.cli.completers import item_titles, trashed_titles
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.vaults.name_matching import as_id, on_one_line

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr


@command(
    "rm",
    "vaultr rm Mail",
    "vaultr rm Mail Bank",
    "vaultr rm Mail --forever",
    no_args_is_help=True,
)
@click.argument("refs", metavar="ITEM...", nargs=-1, required=True, shell_complete=item_titles)
@click.option("--forever", is_flag=True, help="Remove it with all its versions, not to the trash.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@vault_option()
@pass_choices
def rm(
    choices: Choices, refs: tuple[str, ...], forever: bool, yes: bool, vault: str | None
) -> None:
    """Move items to the trash.

    Each ITEM is an id, or the exact title that only one item has. If one is not there, none is
    moved. They can be restored for 30 days. With --json one ITEM is answered by an object, several
    by a list.
    """
    with opened(choices) as vaultr:
        if not forever:
            moved = vaultr.trash_many(refs, vault=vault)
            answer(choices, moved if len(refs) > 1 else moved[0], "In the trash")
            return
        _remove(vaultr, refs, vault, yes=yes)
    output.result(choices.json, {"removed": True}, "Removed.")


def _remove(vaultr: "Vaultr", refs: tuple[str, ...], vault: str | None, *, yes: bool) -> None:
    first, *others = refs
    found = [vaultr.item(first, vault=vault, reveal=False)]
    # The server was asked by now.
    found += [vaultr.item(ref, vault=vault, reveal=False, offline=True) for ref in others]
    names = ", ".join(output.printable(output.name_of(item)) for item in found)
    for ref, item in zip(refs, found, strict=True):
        if item.title != ref and as_id(ref) != item.id:
            raise VaultrError(f"There is no such item. Near: {on_one_line(item.title)}.")
    theirs = "its" if len(found) == 1 else "their"
    prompts.confirmed(f"Remove {names} and all {theirs} versions? This cannot be undone.", yes=yes)
    homes = {str(item.vault_id) for item in found}
    # By their ids: what was confirmed is what is removed.
    ids = [str(item.id) for item in found]
    vaultr.remove_many(ids, vault=homes.pop() if len(homes) == 1 else vault)


@command(
    "restore",
    "vaultr restore Mail",
    "vaultr restore Mail Bank",
    "vaultr restore Mail --revision 7",
    no_args_is_help=True,
)
@click.argument("refs", metavar="ITEM...", nargs=-1, required=True, shell_complete=trashed_titles)
@click.option(
    "--revision",
    type=click.IntRange(min=1),
    metavar="N",
    help="Bring back what it held then, by a new write; `history` lists the versions.",
)
@vault_option()
@pass_choices
def restore(
    choices: Choices, refs: tuple[str, ...], revision: int | None, vault: str | None
) -> None:
    """Take items back from the trash, or one back to a version.

    Each ITEM is an id, or the exact title that only one item has. If one is not there, none is
    taken back. With --json one ITEM is answered by an object, several by a list.
    """
    if revision is not None and len(refs) > 1:
        raise UsageError("--revision is a version of one item.")
    with opened(choices) as vaultr:
        if revision is None:
            items = vaultr.restore_many(refs, vault=vault)
        else:
            items = [vaultr.bring_back(refs[0], revision, vault=vault)]
        for item in items:
            duplicate_titles.warn(vaultr, item)
        answer(choices, items if len(refs) > 1 else items[0], "Restored")
