"""The completion command, and the answer to a shell that asks what could come next."""

import contextlib
import os
from typing import Final

import click

from vaultr.client.cli import output
from vaultr.client.cli.options import Choices, command, pass_choices
from vaultr.client.errors import VaultrError

NAMES: Final = ("bash", "zsh", "fish")
_VARIABLE: Final = "_VAULTR_COMPLETE"


@command(
    "completion",
    "vaultr completion bash > ~/.local/share/bash-completion/completions/vaultr",
    "vaultr completion zsh > ~/.zfunc/_vaultr      # where ~/.zfunc is in fpath",
    "vaultr completion fish > ~/.config/fish/completions/vaultr.fish",
    no_args_is_help=True,
)
@click.argument("shell", type=click.Choice(NAMES))
@pass_choices
def completion(choices: Choices, shell: str) -> None:
    """Print the script that completes vaultr in SHELL.

    Commands, options and their values are completed; while `vaultr unlock` holds the keys, titles
    of items, names of environment sets and of vaults, too. No secret and no server is asked for.
    """
    from vaultr.client.cli.completion_scripts import SHELLS  # noqa: PLC0415 - only for this command

    root = click.get_current_context().find_root()
    script = SHELLS[shell](root.command, {}, "vaultr", _VARIABLE).source()
    if choices.json:
        output.as_json({"shell": shell, "script": script})
    else:
        output.exactly(script, newline=not script.endswith("\n"))


def answer(root: click.Group) -> int | None:
    """Answer a shell that asks by its script what could come next; None when no shell asks."""
    asked = os.environ.get(_VARIABLE, "")
    shell, _, instruction = asked.partition("_")
    if shell not in NAMES or instruction != "complete":
        return None
    from vaultr.client.cli.completion_scripts import SHELLS  # noqa: PLC0415 - only when a shell asks

    # A shell that asks on every press of a key is not told why nothing can be offered.
    with contextlib.suppress(VaultrError, OSError, ValueError, KeyError, IndexError):
        offered = SHELLS[shell](root, {}, "vaultr", _VARIABLE).complete()
        output.exactly(offered)
    return 0
