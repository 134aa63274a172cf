"""The command `vaultr history`, which lists and shows earlier versions of an item."""

from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output
from vaultr.client.cli.commands import list_show
from vaultr.client.cli.completers import item_titles
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Version


@command(
    "history",
    "vaultr history Mail",
    "vaultr history Mail --revision 7 --field password",
    "vaultr restore Mail --revision 7",
    no_args_is_help=True,
)
@click.argument("item", metavar="ITEM", shell_complete=item_titles)
@click.option(
    "--revision", type=click.IntRange(min=1), metavar="N", help="Show the version of this revision"
)
@click.option("--reveal", is_flag=True, help="Show the secrets of that version")
@click.option("--field", metavar="NAME", help="Print one field of that version")
@vault_option()
@pass_options
def history(
    options: GlobalOptions,
    item: str,
    revision: int | None,
    reveal: bool,
    field: str | None,
    vault: str | None,
) -> None:
    """List the versions of an item, or show one.

    ITEM is an id or a unique title. The server keeps the last 50 versions of each item. To restore
    one, use `vaultr restore ITEM --revision N`.
    """
    if revision is None and (reveal or field is not None):
        raise UsageError("--reveal and --field need a version. Add --revision N.")
    with unlocked_sdk(options) as vaultr:
        if revision is not None:
            version = vaultr.version(item, revision, vault=vault).as_item()
            list_show.print_item(options, version, field=field, reveal=reveal)
            return
        versions = vaultr.history(item, vault=vault)
    if options.json:
        output.print_json([_json(each) for each in versions])
    else:
        output.print_table(("REVISION", "WRITTEN", "TITLE", ""), map(_row, versions))


def _json(version: "Version") -> dict[str, object]:
    return {
        "revision": version.revision,
        "created_at": output.time_text(version.created_at),
        "type": version.type,
        "title": version.title,
        "current": version.is_current,
    }


def _row(version: "Version") -> tuple[str, ...]:
    try:
        written = version.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError):  # the server sent the first or last possible date
        written = output.time_text(version.created_at)
    title = output.shortened(version.title)
    return str(version.revision), written, title, "current" if version.is_current else ""
