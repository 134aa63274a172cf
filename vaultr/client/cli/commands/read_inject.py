"""Commands that put secrets where they are wanted: read and inject."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.offline_options import copy_options, from_copy
from vaultr.client.cli.options import Choices, command, pass_choices
from vaultr.client.cli.sdk_session import opened
from vaultr.client.errors import UsageError
from vaultr.client.items.references import Reference, Resolver
from vaultr.client.items.templates import filled, holds_references

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr

out_file = click.option(
    "-o",
    "--out-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it there, for you alone (0600), and not to standard output.",
)
force = click.option("--force", is_flag=True, help="Let a file that is there give way.")


@command(
    "read",
    "vaultr read vaultr://Personal/Mail/password",
    "vaultr read 'vaultr://Personal/Mail/totp?as=code'",
    "vaultr read vaultr://Work/deploy/private_key -o key.pem",
    no_args_is_help=True,
)
@click.argument("reference")
@click.option("-n", "--no-newline", is_flag=True, help="Write no newline behind the value.")
@out_file
@force
@copy_options
@pass_choices
def read(
    choices: Choices,
    reference: str,
    no_newline: bool,
    out_file: Path | None,
    force: bool,
    offline: bool,
    max_age: timedelta | None,
) -> None:
    """Print the value that a reference names.

    REFERENCE is vaultr://VAULT/ITEM/FIELD, each named as in `show --vault VAULT ITEM --field
    FIELD`. A / in a name is written %2F, a ? %3F and a % %25. With ?as=code behind it, it stands
    for the one-time code of this moment.
    """
    wanted = Reference.parse(reference)
    with opened(choices) as vaultr:
        value = resolver(vaultr, offline=offline, max_age=max_age).value(wanted)
    if out_file is not None:
        text = value if no_newline or value.endswith("\n") else f"{value}\n"
        saved(choices, out_file, text, force=force)
    elif choices.json:
        output.as_json(value)
    else:
        output.exactly(value, newline=not no_newline)


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
    help="The template; else standard input is.",
)
@out_file
@force
@copy_options
@pass_choices
def inject(
    choices: Choices,
    in_file: Path | None,
    out_file: Path | None,
    force: bool,
    offline: bool,
    max_age: timedelta | None,
) -> None:
    """Fill a template with values.

    Each reference in it gives way to what it names. It stands as {{ vaultr://VAULT/ITEM/FIELD }},
    or without braces where it holds no space. Values are put in as they are: quote them as the
    file's format wants it. Nothing is written unless all values are there.
    """
    data = prompts.read_input(choices) if in_file is None else in_file.read_bytes()
    try:
        template = data.decode()
    except UnicodeDecodeError:
        raise UsageError("The template is not UTF-8.") from None
    text = template
    if holds_references(template):
        with opened(choices) as vaultr:
            text = filled(template, resolver(vaultr, offline=offline, max_age=max_age).value)
    if out_file is not None:
        saved(choices, out_file, text, force=force)
    elif choices.json:
        output.as_json(text)
    else:
        output.exactly(text, newline=False)


def resolver(vaultr: "Vaultr", *, offline: bool, max_age: timedelta | None) -> Resolver:
    """Give what reads references, from the server or the copy, as the options say."""
    return vaultr.resolver(offline=from_copy(vaultr, offline=offline, max_age=max_age))


def saved(choices: Choices, place: Path, text: str, *, force: bool) -> None:
    """Write a file for its owner alone, and say so."""
    # The client's folder comes with it, and with that the ciphers.
    from vaultr.client.storage.secret_files import save  # noqa: PLC0415 - heavy, see above

    save(place, text.encode(errors="backslashreplace"), force=force)
    if choices.json:
        output.as_json({"file": str(place)})
    else:
        output.tell(f"Written, for you alone: {output.printable(str(place))}")
