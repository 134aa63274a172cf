"""The commands `vaultr read` and `vaultr inject`, which resolve references."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.offline_options import copy_options, uses_copy
from vaultr.client.cli.options import GlobalOptions, command, pass_options
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError
from vaultr.client.items.references import Reference, Resolver
from vaultr.client.items.templates import filled, holds_references

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr

out_file_option = click.option(
    "-o",
    "--out-file",
    "--out",
    "out_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, readable only by you (0600)",
)
force_option = click.option("--force", is_flag=True, help="Overwrite an existing file")


@command(
    "read",
    "vaultr read vaultr://Personal/Mail/password",
    "vaultr read 'vaultr://Personal/Mail/totp?as=code'",
    "vaultr read vaultr://Work/deploy/private_key -o key.pem",
    no_args_is_help=True,
)
@click.argument("reference")
@click.option("-n", "--no-newline", is_flag=True, help="Do not print a newline after the value")
@out_file_option
@force_option
@copy_options
@pass_options
def read(
    options: GlobalOptions,
    reference: str,
    no_newline: bool,
    out_file: Path | None,
    force: bool,
    offline: bool,
    max_age: timedelta | None,
) -> None:
    """Print the value of a reference.

    REFERENCE is vaultr://VAULT/ITEM/FIELD, with the names that `vaultr show --vault VAULT ITEM
    --field FIELD` accepts. Write %2F for a / in a name, %3F for a ? and %25 for a %. Append
    ?as=code for the current one-time code.
    """
    parsed = Reference.parse(reference)
    with unlocked_sdk(options) as vaultr:
        value = open_resolver(vaultr, offline=offline, max_age=max_age).value(parsed)
    if out_file is not None:
        text = value if no_newline or value.endswith("\n") else f"{value}\n"
        save_output(options, out_file, text, force=force)
    elif options.json:
        output.print_json(value)
    else:
        output.print_value(value, newline=not no_newline)


@command(
    "inject",
    "vaultr inject < config.tmpl > config.yaml",
    "vaultr inject -i config.tmpl -o config.yaml",
    "echo 'password: {{ vaultr://Personal/Mail/password }}' | vaultr inject",
)
@click.option(
    "-i",
    "--in-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Template file (default: standard input)",
)
@out_file_option
@force_option
@copy_options
@pass_options
def inject(
    options: GlobalOptions,
    in_file: Path | None,
    out_file: Path | None,
    force: bool,
    offline: bool,
    max_age: timedelta | None,
) -> None:
    """Replace the references in a template with their values.

    Write a reference as {{ vaultr://VAULT/ITEM/FIELD }}, or without braces if it has no space.
    Values are inserted unchanged, so quote them as the format of the file requires. If one value is
    missing, nothing is written.
    """
    data = prompts.read_input(options) if in_file is None else in_file.read_bytes()
    try:
        template = data.decode()
    except UnicodeDecodeError:
        raise UsageError("The template is not UTF-8.") from None
    text = template
    if holds_references(template):
        with unlocked_sdk(options) as vaultr:
            text = filled(template, open_resolver(vaultr, offline=offline, max_age=max_age).value)
    if out_file is not None:
        save_output(options, out_file, text, force=force)
    elif options.json:
        output.print_json(text)
    else:
        output.print_value(text, newline=False)


def open_resolver(vaultr: "Vaultr", *, offline: bool, max_age: timedelta | None) -> Resolver:
    """Return a resolver of references that reads from the server or the copy, as options demand."""
    return vaultr.resolver(offline=uses_copy(vaultr, offline=offline, max_age=max_age))


def save_output(options: GlobalOptions, path: Path, text: str, *, force: bool) -> None:
    """Write a file that only its owner can read, and print its name."""
    # The client's folder comes with it, and with that the ciphers.
    from vaultr.client.storage.secret_files import save  # noqa: PLC0415 - heavy, see above

    save(path, text.encode(errors="backslashreplace"), force=force)
    if options.json:
        output.print_json({"file": str(path)})
    else:
        output.print_note(f"Saved, readable only by you: {output.printable(str(path))}")
