"""The history command: the contents that an item had."""

from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output
from vaultr.client.cli.commands import list_show
from vaultr.client.cli.completers import item_titles
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
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
    "--revision", type=click.IntRange(min=1), metavar="N", help="Open the version of this revision."
)
@click.option("--reveal", is_flag=True, help="Show the secrets of that version, too.")
@click.option("--field", metavar="NAME", help="Print the value of one field of that version.")
@vault_option()
@pass_choices
def history(
    choices: Choices,
    item: str,
    revision: int | None,
    reveal: bool,
    field: str | None,
    vault: str | None,
) -> None:
    """List the versions of an item, or open one.

    ITEM is an id, or a title that only one item has. The server keeps the last 50 versions of each
    item. One is brought back by restore ITEM --revision N.
    """
    if revision is None and (reveal or field is not None):
        raise UsageError("Say which version to open: --revision N.")
    with opened(choices) as vaultr:
        if revision is not None:
            found = vaultr.version(item, revision, vault=vault).as_item()
            list_show.present(choices, found, field=field, reveal=reveal)
            return
        versions = vaultr.history(item, vault=vault)
    if choices.json:
        output.as_json([_json(each) for each in versions])
    else:
        output.table(("REVISION", "WRITTEN", "TITLE", ""), map(_row, versions))


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
        when = version.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError):  # the server's word: the first or the last day of all time
        when = output.time_text(version.created_at)
    title = output.shortened(version.title)
    return str(version.revision), when, title, "current" if version.is_current else ""
