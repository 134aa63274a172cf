"""The command `vaultr breach-check`: which stored passwords are known from breaches."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output
from vaultr.client.cli.completers import item_titles
from vaultr.client.cli.offline_options import copy_options, uses_copy
from vaultr.client.cli.options import (
    GlobalOptions,
    breach_file_option,
    command,
    pass_options,
    vault_option,
)
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item, Vaultr

_FOUND = 1


@command(
    "breach-check",
    "vaultr breach-check",
    "vaultr breach-check Mail --json",
    "vaultr breach-check --breach-file pwned-passwords-sha1.txt",
)
@click.argument("item", metavar="[ITEM]", required=False, shell_complete=item_titles)
@breach_file_option("Check against this list of SHA-1 hashes; send nothing")
@copy_options
@vault_option("Only this vault, by id or name")
@pass_options
def breach_check(
    options: GlobalOptions,
    /,
    item: str | None,
    breach_file: Path | None,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Check stored passwords against known breaches.

    Without ITEM, all passwords are checked. For each, the server gets the first five hex digits of
    its SHA-1 hash, which hundreds of other passwords share, and nothing else. With --breach-file
    nothing is sent. The exit code is 1 if a password was found. The report never shows a value.
    """
    from vaultr.client.password_health.breach_file import BreachFile  # noqa: PLC0415 - would slow others
    from vaultr.client.password_health.findings import breaches  # noqa: PLC0415 - would slow others

    if offline and breach_file is None:
        raise UsageError(
            "--offline does not contact the server. To check against a local list, use"
            " --breach-file."
        )
    with contextlib.ExitStack() as stack:
        hashes = stack.enter_context(BreachFile(breach_file)) if breach_file else None
        vaultr = stack.enter_context(unlocked_sdk(options))
        from_copy = uses_copy(vaultr, offline=offline, max_age=max_age)
        items = _chosen(vaultr, item, vault, offline=from_copy)
        count: Callable[[bytes], int] = hashes.count if hashes else vaultr.breach_count
        found = list(breaches(items, count))
    _show(options, found, len(items))
    if found:
        click.get_current_context().exit(_FOUND)


def _chosen(vaultr: "Vaultr", ref: str | None, vault: str | None, *, offline: bool) -> "list[Item]":
    from vaultr.client.password_health.findings import password_of  # noqa: PLC0415 - late, see above

    if ref is None:
        revealed = vaultr.each_revealed(vault=vault, offline=offline)
        return [item for item in revealed if password_of(item)]
    item = vaultr.item(ref, vault=vault, offline=offline)
    if not password_of(item):
        raise VaultrError("This item has no password to check.")
    return [item]


def _show(options: GlobalOptions, found: "list[tuple[Item, int]]", checked: int) -> None:
    if options.json:
        listed = [
            {
                "id": str(item.id),
                "vault_id": str(item.vault_id),
                "title": item.title,
                "count": count,
            }
            for item, count in found
        ]
        output.print_json({"checked": checked, "breached": listed})
        return
    if found:
        rows = [
            (output.shortened(output.display_name(item)), f"{count:,}", str(item.id))
            for item, count in found
        ]
        output.print_table(("TITLE", "SEEN IN BREACHES", "ID"), rows)
        output.print_note(
            "Change each password at its site first, then store the new one: vaultr edit ITEM"
        )
    else:
        output.print_note(f"No breached password in {output.items(checked)}.")
