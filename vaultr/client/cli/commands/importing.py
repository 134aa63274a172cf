"""The import command: everything that a file holds, or nothing of it."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import asking, drafting, showing
from vaultr.client.cli.opening import opened
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.imports.problems import ImportProblems
from vaultr.client.items.fields import text_of

if TYPE_CHECKING:
    from vaultr.client.items.schemas import Draft


@command(
    "import",
    "vaultr import bitwarden_export.json",
    "vaultr import .env --title prod",
    "vaultr import export.json --dry-run",
    no_args_is_help=True,
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["bitwarden", "dotenv"]),
    help="What the file is; else it is recognised by its content.",
)
@click.option("--title", help="How the environment set of a dotenv file is called.")
@click.option(
    "--file-password-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the password of a protected export from descriptor N.",
)
@click.option("--dry-run", is_flag=True, help="Only read the file and say what is in it.")
@vault_option("The vault it goes into, by id or name.")
@pass_choices
def import_file(
    choices: Choices,
    file: str,
    form: str | None,
    title: str | None,
    file_password_fd: int | None,
    dry_run: bool,
    vault: str | None,
) -> None:
    """Import a Bitwarden export or a dotenv file.

    Of Bitwarden, FILE is a JSON export, plain or protected by a password.

    Nothing is imported unless all can be: whatever is odd is listed, an entry or a line each.
    FILE may be - for standard input. Delete the file afterwards: it is not encrypted.
    """
    from vaultr.client.imports import (  # noqa: PLC0415 - would slow every other command down
        bitwarden,
        dotenv,
        formats,
    )

    data = asking.read_input(choices) if file == "-" else _content_of(file)
    try:
        if (form or formats.recognise(data)) == "dotenv":
            drafts = dotenv.read(data, title=title or _title_of(file))
        else:
            drafts = bitwarden.read(data, lambda: _file_password(file_password_fd))
    except ImportProblems as odd:
        for problem in odd.problems:
            showing.tell(f"vaultr: {showing.printable(str(problem))}")
        raise VaultrError("Nothing was imported.") from None
    _tell_of_odd_codes(drafts)
    if not dry_run:
        with opened(choices) as vaultr:
            vaultr.add_many(drafts, vault=vault, progress=_progress())
    _summary(choices, drafts, dry_run=dry_run)


def _tell_of_odd_codes(drafts: "list[Draft]") -> None:
    """Name the entries whose TOTP secret gives no codes; they are kept as they are."""
    for draft in drafts:
        if fault := drafting.totp_fault(draft.detail):
            title = showing.printable(text_of(draft.overview.get("title", "")))
            showing.tell(f"vaultr: {title}: its TOTP secret gives no codes. {fault}")


def _content_of(file: str) -> bytes:
    with open(file, "rb") as source:
        return source.read(asking.INPUT_BYTES + 1)


def _title_of(file: str) -> str:
    if file == "-":
        raise UsageError("Say --title: standard input has no name to take.")
    return Path(file).name


def _file_password(descriptor: int | None) -> str:
    if descriptor is not None:
        return asking.read_descriptor(descriptor, "--file-password-fd")
    if not asking.can_ask():
        raise UsageError("This file has a password: hand it over by --file-password-fd.")
    return asking.ask_hidden("Password of the file (chosen at the export)")


def _progress() -> Callable[[int, int], None]:
    """Give what shows progress: one line that is written over on a terminal, else nothing."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def show(done: int, total: int) -> None:
        click.echo(f"\r{done} of {total} items", err=True, nl=done == total)

    return show


def _summary(choices: Choices, drafts: "list[Draft]", *, dry_run: bool) -> None:
    types = dict(Counter(draft.type for draft in drafts))
    archived = sum(bool(draft.overview.get("archived")) for draft in drafts)
    count = len(drafts)
    if choices.json:
        imported = 0 if dry_run else count
        showing.as_json({"read": count, "imported": imported, "types": types})
        return
    parts = ", ".join(f"{number} {name}" for name, number in types.items())
    done = "Can be imported" if dry_run else "Imported"
    showing.say(f"{done}: {count} {'item' if count == 1 else 'items'} ({parts}).")
    if archived:
        showing.tell(f"{archived} of them were archived there and are marked so.")
