"""The command `vaultr export`: environment sets for other programs, or all items."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import archive_files, output, prompts, step_up
from vaultr.client.cli.commands.read_inject import force_option, out_file_option, save_output
from vaultr.client.cli.completers import set_titles
from vaultr.client.cli.env_options import VariableOptions, variable_options
from vaultr.client.cli.offline_options import copy_options, uses_copy
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError
from vaultr.client.exports.formats import FORMATS, KubernetesName, written

if TYPE_CHECKING:
    from vaultr.client.exports.documents import Contents, Document
    from vaultr.client.vaultr_client import Vaultr

# The formats in vaultr.client.exports.documents, which is slow to import.
_OF_ITEMS = ("json", "csv", "bitwarden", "keepass-xml")
_LEAST_CHARACTERS = 15


@command(
    "export",
    "vaultr export prod > .env",
    'eval "$(vaultr export prod --format shell)"',
    "vaultr export prod --format kubernetes --name shop | kubectl apply -f -",
    "vaultr export base prod --last-wins --only 'DB_*' --format json",
    "vaultr export --all --format json --seal -o vaultr.json",
    "vaultr export --all -o archive.json",
    "vaultr export --archive archive.json --format json -o items.json",
    no_args_is_help=True,
)
@click.argument("names", metavar="SET...", nargs=-1, shell_complete=set_titles)
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMATS, *(each for each in _OF_ITEMS if each not in FORMATS)]),
    help="Output format (default: dotenv, or json with --json)",
)
@click.option("--all", "everything", is_flag=True, help="Export all items (needs -o)")
@click.option(
    "--archive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Open an archive offline, instead of asking the server",
)
@click.option("--seal", is_flag=True, help="Encrypt the file with a separate password")
@click.option(
    "--file-password-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the password of the file from file descriptor N",
)
@click.option(
    "--name", metavar="NAME", help="Name of the Kubernetes Secret (default: title of the set)"
)
@click.option("--namespace", metavar="NAME", help="Namespace of the Kubernetes Secret")
@variable_options
@out_file_option
@force_option
@copy_options
@vault_option("Vault of the sets, or the only vault to export")
@pass_options
def export(
    options: GlobalOptions,
    /,
    names: tuple[str, ...],
    form: str | None,
    everything: bool,
    archive: Path | None,
    seal: bool,
    file_password_fd: int | None,
    name: str | None,
    namespace: str | None,
    variables: VariableOptions,
    out_file: Path | None,
    force: bool,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Export environment sets for other programs, or all items.

    SET is a title, an id or vaultr://VAULT/SET. The output is not encrypted: use `vaultr run` where
    that is possible. A shell reads dotenv and shell output unchanged. If a format cannot express a
    value, the command fails and writes nothing.

    --all exports all items with their secrets, of all vaults or of --vault. It asks for the master
    password again. Without --format, it saves an archive: everything that the server has about the
    account, still sealed. --archive opens an archive with the master password and the secret key.
    """
    if everything or archive is not None:
        named = "--all" if archive is None else "--archive"
        if names or name is not None or namespace is not None or variables != VariableOptions():
            raise UsageError(f"{named} exports items. Do not name sets or use their options.")
        if (form, archive, vault, seal) == (None, None, None, False) and out_file is not None:
            archive_files.store_archive(options, out_file, force=force)
            return
        file = _checked(named, form, out_file, seal=seal, password_fd=file_password_fd)
        _export_items(options, file, form or "", vault, force=force, archive=archive,
                      password=_file_password(file_password_fd) if seal else None)  # fmt: skip
        return
    _check_sets(options, names, form, name or namespace, seal=seal)
    form = form or ("json" if options.json else "dotenv")
    # Loads the code that opens items, which --help does not need.
    from vaultr.client.run.environment import resolve_environment  # noqa: PLC0415 - late, see above

    with unlocked_sdk(options) as vaultr:
        from_copy = uses_copy(vaultr, offline=offline, max_age=max_age)
        spec = variables.spec(names, vault=vault, is_run=form == "shell")
        found = resolve_environment(vaultr, spec, offline=from_copy)
    place = KubernetesName(name or (found.titles[0] if len(found.titles) == 1 else None), namespace)
    _print_sets(options, out_file, written(form, found.variables, place), force=force)


def _print_sets(options: GlobalOptions, file: Path | None, text: str, *, force: bool) -> None:
    if file is not None:
        save_output(options, file, text, force=force)
    else:
        output.print_value(text, newline=False)


def _check_sets(
    options: GlobalOptions,
    names: tuple[str, ...],
    form: str | None,
    place: str | None,
    *,
    seal: bool,
) -> None:
    if not names:
        raise UsageError("Name the environment sets to export, or use --all.")
    if seal or form not in (None, *FORMATS):
        raise UsageError("--seal and the item formats need --all or --archive.")
    if options.json and form not in (None, "json"):
        raise UsageError(f"Use either --json or --format {form}, not both.")
    if form != "kubernetes" and place is not None:
        raise UsageError("--name and --namespace need --format kubernetes.")


def _checked(
    named: str, form: str | None, file: Path | None, *, seal: bool, password_fd: int | None
) -> Path:
    """Check the options of ``--all`` or ``--archive`` before asking for anything."""
    if file is None:
        raise UsageError(f"{named} needs -o FILE: secrets go to a file that only you can read.")
    if form not in _OF_ITEMS:
        raise UsageError(f"{named} needs --format {', '.join(_OF_ITEMS[:-1])} or {_OF_ITEMS[-1]}.")
    if seal and form != "json":
        raise UsageError("--seal needs --format json.")
    if password_fd is not None and not seal:
        raise UsageError("--file-password-fd needs --seal.")
    return file


def _file_password(descriptor: int | None) -> str:
    if descriptor is not None:
        password = prompts.read_descriptor(descriptor, "--file-password-fd")
    elif prompts.can_ask():
        password = prompts.ask_hidden("Password of the file", twice=True)
    else:
        raise UsageError("There is no terminal to ask for the password: use --file-password-fd.")
    if len(password) < _LEAST_CHARACTERS:
        raise UsageError(f"The password of the file needs at least {_LEAST_CHARACTERS} characters.")
    return password


def _export_items(
    options: GlobalOptions,
    file: Path,
    form: str,
    vault: str | None,
    *,
    force: bool,
    archive: Path | None,
    password: str | None,
) -> None:
    if password is None:
        output.print_note(
            "The file will contain every secret in plain text: anybody who reads it has them all."
            " Keep it out of shared and synced folders, and delete it after use."
        )
    if archive is not None:
        opened = archive_files.open_archive(options, archive)
        contents, broken = archive_files.contents_of(opened, vault), list[str]()
    else:
        with unlocked_sdk(options) as vaultr:
            step_up.step_up(options, vaultr)
            contents, broken = _contents(vaultr, vault)
    written_document = _written(contents, form, password)
    for notice in written_document.notices:
        output.print_note(notice)
    for identity in broken:
        output.print_note(f"Item {identity} cannot be opened and is not in the file.")
    save_output(options, file, written_document.text, force=force)


def _contents(vaultr: "Vaultr", vault: str | None) -> "tuple[Contents, list[str]]":
    """Return what to export, and the ids of items that cannot be opened."""
    from vaultr.client.exports.documents import Contents  # noqa: PLC0415 - would slow other commands

    found = list(vaultr.each_revealed(vault=vault))
    homes = {each.id: each.name for each in vaultr.vaults(offline=True)}
    by_vault = {
        home: [item for item in found if item.vault_id == home and item.detail is not None]
        for home in dict.fromkeys(item.vault_id for item in found)
    }
    vaults = [(str(home), homes.get(home, ""), items) for home, items in by_vault.items()]
    return Contents(vaults), [str(item.id) for item in found if item.detail is None]


def _written(contents: "Contents", form: str, password: str | None) -> "Document":
    from vaultr.client.exports import documents  # noqa: PLC0415 - would slow other commands

    if form != "json":
        return documents.writer_of(form)(contents)
    value = documents.json_value(contents, datetime.now(UTC))
    if password is not None:
        from vaultr.client.items import sealed_export  # noqa: PLC0415 - brings the ciphers along

        plain = json.dumps(value, ensure_ascii=False).encode()
        value = sealed_export.seal_file(plain, password)
    return documents.Document(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
