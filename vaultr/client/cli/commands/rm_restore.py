"""The commands `vaultr rm` and `vaultr restore`: the trash, removal and earlier versions."""

from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.commands.add_edit import print_items, warn_of_duplicate_title
from vaultr.client.cli.completers import item_titles, trashed_titles
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
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
@click.option("--forever", is_flag=True, help="Remove permanently with all versions")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation")
@vault_option()
@pass_options
def rm(
    options: GlobalOptions, refs: tuple[str, ...], forever: bool, yes: bool, vault: str | None
) -> None:
    """Move items to the trash.

    Each ITEM is an id or its exact, unique title. If one does not exist, none is moved. You can
    restore them for 30 days. With --json, one ITEM is printed as an object, several as a list.
    """
    with unlocked_sdk(options) as vaultr:
        if not forever:
            moved = vaultr.trash_many(refs, vault=vault)
            print_items(options, moved if len(refs) > 1 else moved[0], "In the trash")
            return
        _remove(vaultr, refs, vault, yes=yes)
    output.print_result(options.json, {"removed": True}, "Removed.")


def _remove(vaultr: "Vaultr", refs: tuple[str, ...], vault: str | None, *, yes: bool) -> None:
    first, *others = refs
    found = [vaultr.item(first, vault=vault, reveal=False)]
    # The first look-up has contacted the server; the others need not.
    found += [vaultr.item(ref, vault=vault, reveal=False, offline=True) for ref in others]
    names = ", ".join(output.printable(output.display_name(item)) for item in found)
    for ref, item in zip(refs, found, strict=True):
        if item.title != ref and as_id(ref) != item.id:
            raise VaultrError(f"There is no such item. Similar: {on_one_line(item.title)}.")
    versions = "its versions" if len(found) == 1 else "their versions"
    prompts.confirm(f"Remove {names} and all {versions}? This cannot be undone.", yes=yes)
    vaults = {str(item.vault_id) for item in found}
    # By id, so that exactly the confirmed items are removed.
    ids = [str(item.id) for item in found]
    vaultr.remove_many(ids, vault=vaults.pop() if len(vaults) == 1 else vault)


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
    help="Restore the content of this revision (see vaultr history)",
)
@vault_option()
@pass_options
def restore(
    options: GlobalOptions, refs: tuple[str, ...], revision: int | None, vault: str | None
) -> None:
    """Restore items from the trash, or an earlier version of one.

    Each ITEM is an id or its exact, unique title. If one does not exist, none is restored. With
    --json, one ITEM is printed as an object, several as a list.
    """
    if revision is not None and len(refs) > 1:
        raise UsageError("--revision restores a version of one item. Name one ITEM.")
    with unlocked_sdk(options) as vaultr:
        if revision is None:
            items = vaultr.restore_many(refs, vault=vault)
        else:
            items = [vaultr.bring_back(refs[0], revision, vault=vault)]
        for item in items:
            warn_of_duplicate_title(vaultr, item)
        print_items(options, items if len(refs) > 1 else items[0], "Restored")
