"""The run command: environment sets for one process and nobody else."""

import os
import sys
from typing import TYPE_CHECKING

import click

from vaultr.client import run as running
from vaultr.client.cli import asking
from vaultr.client.cli.opening import opened
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items import SCHEMAS

if TYPE_CHECKING:
    from vaultr.client.api import Item, Vaultr


@command(
    "run",
    "vaultr run --env-set prod -- ./manage.py migrate",
    "vaultr run --env-set base --env-set prod --last-wins -- sh -c 'echo $DATABASE_URL'",
    no_args_is_help=True,
    # What stands behind the first word of the command belongs to it, also without --.
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "--env-set",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    help="An environment set, by title or id; may come again.",
)
@click.option(
    "--last-wins",
    is_flag=True,
    help="Let the set named later win where two hold one name; else that is an error.",
)
@click.option("--offline", is_flag=True, help="From the copy on this device, without the server.")
@vault_option()
@click.argument("words", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True)
@pass_choices
def run(
    choices: Choices,
    names: tuple[str, ...],
    last_wins: bool,
    offline: bool,
    vault: str | None,
    words: tuple[str, ...],
) -> None:
    """Run a command with environment sets.

    The sets are in the environment of this command, and nowhere else.

    The command takes the place of this process: signals, terminal and exit code are its own. Names
    that it would have inherited give way to those of the sets. It ends 127 if there is no such
    command, 126 if it cannot be executed.
    """
    if choices.json:
        raise UsageError("run answers nothing of its own, so there is no --json.")
    with opened(choices) as vaultr:
        sets = [(name, _variables(vaultr, name, vault, offline=offline)) for name in names]
        environ = running.environment(running.joined(sets, last_wins=last_wins), os.environb)
    # The keys are forgotten here. With an unlock process the password was not read yet; and what
    # was printed must be out before this process is another.
    asking.forget_descriptors(choices)
    sys.stdout.flush()
    sys.stderr.flush()
    running.become(words, environ)


def _variables(vaultr: "Vaultr", name: str, vault: str | None, *, offline: bool) -> dict[str, str]:
    found = _find(vaultr.items(vault=vault, type="env_set", offline=offline), name)
    item = vaultr.item(str(found.id), vault=str(found.vault_id), reveal=True, offline=offline)
    variables = (item.detail or {}).get("variables", {})
    check = SCHEMAS["env_set"].detail["variables"]
    # Another client may have written it, and the environment takes less than JSON does.
    if odd := [f"{where} {what}" for where, what in check(name, variables)]:
        raise VaultrError(f"This set cannot be an environment: {'; '.join(odd)}.")
    return dict(variables)


def _find(sets: "list[Item]", name: str) -> "Item":
    same_id = [item for item in sets if str(item.id) == name]
    found = same_id or [item for item in sets if item.overview.get("title") == name]
    if len(found) > 1:
        raise VaultrError(f"{len(found)} environment sets are called {name}: name one by its id.")
    if not found:
        raise VaultrError(f"There is no environment set {name}.")
    return found[0]
