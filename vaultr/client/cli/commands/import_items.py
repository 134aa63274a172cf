"""The command `vaultr import`: read a file of another manager, show, store or undo the import."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import add_input, archive_files, import_report, output
from vaultr.client.cli.commands.add_edit import warn_of_duplicate_title
from vaultr.client.cli.completers import set_titles
from vaultr.client.cli.import_sets import put_into, update_namesake
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.imports.problems import ImportProblems
from vaultr.client.items.fields import text_of

if TYPE_CHECKING:
    from vaultr.client.imports.reading import Reading
    from vaultr.client.items.schemas import Draft
    from vaultr.client.vaultr_client import ImportReport, Vaultr


@command(
    "import",
    "vaultr import bitwarden_export.json",
    "vaultr import passwords.kdbx --dry-run",
    "vaultr import table.csv --map title=Name,password=Secret",
    "vaultr import ~/.password-store --new-vault Imported",
    "vaultr import .env --title prod",
    "vaultr import --undo 3f2a9c01b4d7",
    no_args_is_help=True,
)
@click.argument(
    "file", type=click.Path(exists=True, allow_dash=True, path_type=Path), required=False
)
@import_report.file_options
@click.option(
    "--into",
    metavar="SET",
    help="Add the variables of a dotenv file to this environment set",
    shell_complete=set_titles,
)
@click.option("--update", is_flag=True, help="Write newer content to items imported before")
@click.option("--again", is_flag=True, help="Also import entries that the vault already has")
@click.option("--yes", is_flag=True, help="Update an existing environment set without asking")
@click.option("--new-vault", metavar="NAME", help="Create a vault and import into it")
@click.option("--versions", is_flag=True, help="Also import earlier versions from an archive")
@click.option("--dry-run", is_flag=True, help="Show what would be imported; store nothing")
@click.option("--list", "list_runs", is_flag=True, help="List earlier imports")
@click.option("--undo", metavar="ID", help="Move the items of an import to the trash")
@vault_option("Vault to import into, by id or name")
@pass_options
def import_file(
    options: GlobalOptions,
    /,
    file: Path | None,
    file_options: import_report.FileOptions,
    into: str | None,
    update: bool,
    again: bool,
    yes: bool,
    new_vault: str | None,
    versions: bool,
    dry_run: bool,
    list_runs: bool,
    undo: str | None,
    vault: str | None,
) -> None:
    """Import items from another password manager or a file.

    FILE is an export of Bitwarden, 1Password, KeePass, Proton Pass, LastPass, a browser or another
    manager, a pass store, or a file of secrets; - is standard input. Formats: docs/migrating.md.

    Vaultr imports all entries or none, and lists every entry that is wrong. Importing a newer file
    adds new entries and lists those that differ. A dotenv file updates the environment set with its
    title. The vaults of an archive go into your vaults of the same names. Most files are not
    encrypted: delete them after the import.
    """
    if list_runs or undo is not None:
        _runs(options, file, undo, list_runs=list_runs)
        return
    file = _named(file, vault, new_vault)
    if _is_archive(file, file_options, [into, new_vault, dry_run, again, yes], versions=versions):
        fd = file_options.password_fd
        archive_files.import_archive(options, file, fd, vault, versions=versions, update=update)
        return
    if into is not None:
        _check_into(file_options, excluded=dry_run or new_vault is not None)
        file_options = replace(file_options, title=into)
    if dry_run:
        _dry_run(options, file, file_options)
        return
    with unlocked_sdk(options) as vaultr:  # before asking for the file's password
        reading = _read(options, file, file_options)
        if into is not None:
            put_into(options, vaultr, reading.drafts, into, vault)
            return
        if (not again and new_vault is None
                and update_namesake(options, vaultr, reading.drafts, vault, yes=yes)):  # fmt: skip
            return
        vault = vault if new_vault is None else str(vaultr.create_vault(new_vault).id)
        _store(options, vaultr, reading, vault, update=update, again=again)


def _named(file: Path | None, vault: str | None, new_vault: str | None) -> Path:
    """Return the file to import.

    :raises UsageError: no file was passed, or the options cannot be combined.
    """
    if file is None:
        raise UsageError("Name the file to import, or use --list or --undo.")
    if new_vault is not None and vault is not None:
        raise UsageError("Use either --new-vault or --vault, not both.")
    return file


def _is_archive(
    file: Path,
    file_options: import_report.FileOptions,
    others: Sequence[object],
    *,
    versions: bool,
) -> bool:
    """Check whether this is an archive.

    :param others: the options that apply only to other files.
    :raises UsageError: an option does not apply to this kind of file.
    """
    found = archive_files.is_archive_file(file)
    if versions and not found:
        raise UsageError("--versions needs an archive of vaultr export --all.")
    only_password = replace(file_options, form=None, title=None, columns=(), key_file=None)
    is_set = any(each not in (None, False) for each in others)
    if found and (is_set or file_options != only_password):
        raise UsageError(
            "With an archive, use only --vault, --versions, --update and --file-password-fd."
        )
    return found


def _check_into(file_options: import_report.FileOptions, *, excluded: bool) -> None:
    if file_options.title is not None or excluded:
        raise UsageError("Do not combine --into with --title, --dry-run or --new-vault.")


def _dry_run(options: GlobalOptions, file: Path, file_options: import_report.FileOptions) -> None:
    reading = _read(options, file, file_options)
    _warn_of_totp(reading.drafts)
    import_report.show_dry_run(options, reading)


def _store(
    options: GlobalOptions,
    vaultr: "Vaultr",
    reading: "Reading",
    vault: str | None,
    *,
    update: bool,
    again: bool,
) -> None:
    _warn_of_totp(reading.drafts)
    with import_report.progress() as progress:
        done = vaultr.import_drafts(
            reading.drafts, vault=vault, update=update, again=again, progress=progress
        )
    for item in done.added:
        warn_of_duplicate_title(vaultr, item)
    _summary(options, reading, done)


def _read(options: GlobalOptions, file: Path, file_options: import_report.FileOptions) -> "Reading":
    """Read the file.

    :raises VaultrError: it has problems, which were listed on stderr.
    """
    try:
        return import_report.read(options, file, file_options)
    except ImportProblems as found:
        for problem in found.problems:
            output.print_note(f"vaultr: {output.printable(str(problem))}")
        raise VaultrError("Nothing was imported.") from None


def _runs(options: GlobalOptions, file: Path | None, undo: str | None, *, list_runs: bool) -> None:
    if file is not None or (list_runs and undo is not None):
        raise UsageError("Use either --list or --undo, without a file.")
    with unlocked_sdk(options) as vaultr:
        runs = [vaultr.undo_import(undo)] if undo is not None else vaultr.import_runs()
    if options.json:
        found = [import_report.run_json(run) for run in runs]
        output.print_json(found[0] if undo is not None else found)
    elif undo is None:
        import_report.show_runs(runs)
    else:
        output.print_line(f"Moved to the trash: {output.items(len(runs[0].unchanged))}.")
        for item in runs[0].changed:
            title = output.printable(output.display_name(item))
            output.print_note(
                f"{title} ({item.id}) was changed after the import and was not removed."
            )


def _warn_of_totp(drafts: "list[Draft]") -> None:
    """Name the entries whose TOTP secret produces no codes; they are imported unchanged."""
    for draft in drafts:
        if fault := add_input.totp_problem(draft.detail):
            title = output.printable(text_of(draft.overview.get("title", "")))
            output.print_note(f"vaultr: {title}: the TOTP secret produces no codes. {fault}")


def _summary(options: GlobalOptions, reading: "Reading", done: "ImportReport") -> None:
    types = dict(Counter(item.type for item in done.added))
    if options.json:
        output.print_json(
            {
                "read": len(reading.drafts),
                "imported": len(done.added),
                "types": types,
                "run": done.run,
                "same": done.same,
                "updated": [str(item.id) for item in done.updated],
                "differing": [str(item.id) for item in done.differing],
                "left_out": reading.report.to_json()["left_out"],
            }
        )
        return
    _notices(reading, done)
    if [*types] == ["env_set"] and len(done.added) == 1:
        title = done.added[0].title
        variables = len(reading.drafts[0].detail["variables"])
        import_report.print_set("Imported", title, variables)
        output.print_note(f"Use it: vaultr run --env-set {shlex.quote(title)} -- COMMAND")
    else:
        output.print_line(f"Imported: {import_report.counted(types)}.")
    if done.added:
        output.print_note(f"Undo it: vaultr import --undo {done.run}")


def _notices(reading: "Reading", done: "ImportReport") -> None:
    if done.same:
        output.print_note(
            f"{import_report.entries(done.same)} already in the vault (--again imports them too)."
        )
    if done.beside:
        output.print_note(
            f"{import_report.entries(done.beside)} already there with different content:"
            " both are kept, with the same title and user name."
        )
    if done.updated:
        output.print_note(f"Updated: {output.items(len(done.updated))}.")
    for item in done.differing:
        title = output.printable(output.display_name(item))
        output.print_note(f"{title} ({item.id}) differs from the file; --update overwrites it.")
    if archived := sum(bool(draft.overview.get("archived")) for draft in reading.drafts):
        output.print_note(f"{archived} of them are archived, as in the file.")
    import_report.print_left_out(reading.report)
