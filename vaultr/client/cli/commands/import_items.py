"""The import command: everything that a file holds, or nothing of it."""

import shlex
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import add_input, duplicate_titles, output, prompts
from vaultr.client.cli.completers import set_titles
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.imports.problems import ImportProblems
from vaultr.client.items.fields import text_of

if TYPE_CHECKING:
    from vaultr.client.items.schemas import Draft
    from vaultr.client.vaultr_client import Vaultr


@command(
    "import",
    "vaultr import bitwarden_export.json",
    "vaultr import .env --title prod",
    "vaultr import .env --into prod",
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
    "--into",
    metavar="SET",
    help="Set the variables of a dotenv file in this environment set; its others stay.",
    shell_complete=set_titles,
)
@click.option(
    "--file-password-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the password of a protected export from descriptor N.",
)
@click.option("--again", is_flag=True, help="Import also what is there already to the letter.")
@click.option("--dry-run", is_flag=True, help="Only read the file and say what is in it.")
@vault_option("The vault it goes into, by id or name.")
@pass_choices
def import_file(
    choices: Choices,
    file: str,
    form: str | None,
    title: str | None,
    into: str | None,
    file_password_fd: int | None,
    again: bool,
    dry_run: bool,
    vault: str | None,
) -> None:
    """Import a Bitwarden export or a dotenv file.

    Of Bitwarden, FILE is a JSON export, plain or protected by a password.

    Nothing is imported unless all can be: whatever is odd is listed, an entry or a line each.
    What the vault has to the letter is left out, so a second time, or after an interruption, only
    the rest is imported. An entry that differs comes beside the one of its title and user name.

    FILE may be - for standard input. Delete the file afterwards: it is not encrypted.
    """
    if into is not None and (title is not None or dry_run):
        raise UsageError("--into takes neither --title nor --dry-run: the set is there already.")
    drafts = _read(choices, file, form, into or title, file_password_fd)
    if into is not None:
        _put_into(choices, drafts, into, vault)
        return
    _tell_of_odd_codes(drafts)
    if dry_run:
        _summary(choices, drafts, [], dry_run=True)
        return
    with opened(choices) as vaultr:
        new = drafts if again else _without_doubles(vaultr, drafts, vault)
        for item in vaultr.add_many(new, vault=vault, progress=_progress()):
            duplicate_titles.warn(vaultr, item)
    _summary(choices, drafts, new, dry_run=False)


def _without_doubles(vaultr: "Vaultr", drafts: "list[Draft]", vault: str | None) -> "list[Draft]":
    """Leave out what the vault has to the letter, and say how many of the others are beside one."""
    found = [each.value for each in vaultr.presence(drafts, vault=vault)]
    if same := found.count("same"):
        output.tell(f"{_entries(same)} there already, to the letter (--again imports them, too).")
    if changed := found.count("changed"):
        output.tell(
            f"{_entries(changed)} there with another content:"
            " both are kept, under the same title and user name."
        )
    return [draft for draft, there in zip(drafts, found, strict=True) if there != "same"]


def _entries(count: int) -> str:
    return f"{count} {'entry was' if count == 1 else 'entries were'}"


def _read(
    choices: Choices, file: str, form: str | None, title: str | None, descriptor: int | None
) -> "list[Draft]":
    """Read the file.

    :raises VaultrError: it is odd; what is odd was listed on stderr, an entry or a line each.
    """
    from vaultr.client.imports import bitwarden, dotenv, file_format  # noqa: PLC0415 - would slow every other command down

    data = prompts.read_input(choices) if file == "-" else _content_of(file)
    try:
        if (form or file_format.recognise(data)) == "dotenv":
            return dotenv.read(data, title=title or _title_of(file))
        return bitwarden.read(data, lambda: _file_password(descriptor))
    except ImportProblems as odd:
        for problem in odd.problems:
            output.tell(f"vaultr: {output.printable(str(problem))}")
        raise VaultrError("Nothing was imported.") from None


def _put_into(choices: Choices, drafts: "list[Draft]", name: str, vault: str | None) -> None:
    """Set variables of a set that is there, and say which."""
    if [draft.type for draft in drafts] != ["env_set"]:
        raise UsageError("--into takes the variables of a dotenv file.")
    # It loads what opens items, which --help does not need.
    from vaultr.client.run.environment import find_set  # noqa: PLC0415 - late, see above

    given: dict[str, str] = drafts[0].detail["variables"]
    with opened(choices) as vaultr:
        item = find_set(vaultr, vaultr.resolver(), name, vault)
        held = (item.detail or {}).get("variables", {})
        new = {each: text for each, text in given.items() if held.get(each) != text}
        if new:
            # What was looked at is what is changed: otherwise another device's edit could be lost.
            vaultr.edit(
                str(item.id),
                detail={"variables": new},
                revision=item.revision,
                vault=str(item.vault_id),
            )
    said = {
        "added": [each for each in new if each not in held],
        "changed": [each for each in new if each in held],
        "same": [each for each in given if each not in new],
    }
    if choices.json:
        output.as_json({"read": len(given), **said})
        return
    parts = [f"{done} {', '.join(names)}" for done, names in said.items() if names]
    output.say(f"Imported into {output.printable(item.title)}: {'; '.join(parts)}.")


def _tell_of_odd_codes(drafts: "list[Draft]") -> None:
    """Name the entries whose TOTP secret gives no codes; they are kept as they are."""
    for draft in drafts:
        if fault := add_input.totp_fault(draft.detail):
            title = output.printable(text_of(draft.overview.get("title", "")))
            output.tell(f"vaultr: {title}: its TOTP secret gives no codes. {fault}")


def _content_of(file: str) -> bytes:
    with open(file, "rb") as source:
        return source.read(prompts.INPUT_BYTES + 1)


def _title_of(file: str) -> str:
    if file == "-":
        raise UsageError("Say --title: standard input has no name to take.")
    return Path(file).name


def _file_password(descriptor: int | None) -> str:
    if descriptor is not None:
        return prompts.read_descriptor(descriptor, "--file-password-fd")
    if not prompts.can_ask():
        raise UsageError("This file has a password: hand it over by --file-password-fd.")
    return prompts.ask_hidden("Password of the file (chosen at the export)")


def _progress() -> Callable[[int, int], None]:
    """Give what shows progress: one line that is written over on a terminal, else nothing."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def show(done: int, total: int) -> None:
        click.echo(f"\r{done} of {total} items", err=True, nl=done == total)

    return show


def _summary(
    choices: Choices, read: "list[Draft]", imported: "list[Draft]", *, dry_run: bool
) -> None:
    drafts = read if dry_run else imported
    types = dict(Counter(draft.type for draft in drafts))
    if choices.json:
        output.as_json({"read": len(read), "imported": len(imported), "types": types})
        return
    done = "Can be imported" if dry_run else "Imported"
    if [*types] == ["env_set"]:
        title, variables = drafts[0].overview["title"], len(drafts[0].detail["variables"])
        count_text = f"{variables} variable{'' if variables == 1 else 's'}"
        output.say(f"{done}: {output.printable(title)} ({count_text}).")
        if not dry_run:
            output.tell(f"Use it: vaultr run --env-set {shlex.quote(title)} -- COMMAND")
        return
    parts = ", ".join(f"{number} {name}" for name, number in types.items())
    output.say(f"{done}: {output.items(len(drafts))}{f' ({parts})' if parts else ''}.")
    if archived := sum(bool(draft.overview.get("archived")) for draft in drafts):
        output.tell(f"{archived} of them were archived there and are marked so.")
