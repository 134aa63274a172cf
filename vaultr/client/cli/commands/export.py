"""The export command: environment sets in the formats of shells, containers and programs."""

from datetime import timedelta
from pathlib import Path

import click

from vaultr.client.cli import output
from vaultr.client.cli.commands.read_inject import force, out_file, saved
from vaultr.client.cli.completers import set_titles
from vaultr.client.cli.env_options import Sources, environment_options
from vaultr.client.cli.offline_options import copy_options, from_copy
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
from vaultr.client.errors import UsageError
from vaultr.client.exports.formats import FORMATS, Place, written


@command(
    "export",
    "vaultr export prod > .env",
    'eval "$(vaultr export prod --format shell)"',
    "vaultr export prod --format kubernetes --name shop | kubectl apply -f -",
    "vaultr export base prod --last-wins --only 'DB_*' --format json",
    no_args_is_help=True,
)
@click.argument("names", metavar="SET...", nargs=-1, required=True, shell_complete=set_titles)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="How it is written; else dotenv, or json with --json.",
)
@click.option("--name", metavar="NAME", help="What a Kubernetes Secret is called; else as the set.")
@click.option("--namespace", metavar="NAME", help="Where a Kubernetes Secret is put.")
@environment_options
@out_file
@force
@copy_options
@vault_option("The vault of the sets that name none.")
@pass_choices
def export(
    choices: Choices,
    /,
    names: tuple[str, ...],
    form: str | None,
    name: str | None,
    namespace: str | None,
    sources: Sources,
    out_file: Path | None,
    force: bool,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Write environment sets for other programs.

    SET is a title, an id or vaultr://VAULT/SET. What is written is not encrypted: give it to a
    program by `vaultr run` where that can do. dotenv and shell are read by every shell to the
    letter; what a format cannot express is refused, and then nothing is written.
    """
    form = form or ("json" if choices.json else "dotenv")
    if choices.json and form != "json":
        raise UsageError(f"--json and --format {form} contradict each other.")
    if form != "kubernetes" and (name is not None or namespace is not None):
        raise UsageError("--name and --namespace are for --format kubernetes.")
    # It loads what opens items, which --help does not need.
    from vaultr.client.run.environment import gather  # noqa: PLC0415 - late, see above

    with opened(choices) as vaultr:
        copy = from_copy(vaultr, offline=offline, max_age=max_age)
        wish = sources.wish(names, vault=vault, is_run=form == "shell")
        found = gather(vaultr, wish, offline=copy)
    place = Place(name or (found.titles[0] if len(found.titles) == 1 else None), namespace)
    text = written(form, found.variables, place)
    if out_file is not None:
        saved(choices, out_file, text, force=force)
    else:
        output.exactly(text, newline=False)
