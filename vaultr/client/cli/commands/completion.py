"""The command `vaultr completion`, and the completion of command lines for a shell."""

import contextlib
import os
from typing import Final

import click

from vaultr.client.cli import output
from vaultr.client.cli.options import GlobalOptions, command, pass_options
from vaultr.client.errors import VaultrError

SHELL_NAMES: Final = ("bash", "zsh", "fish")
VARIABLE: Final = "_VAULTR_COMPLETE"


@command(
    "completion",
    "vaultr completion bash > ~/.local/share/bash-completion/completions/vaultr",
    "vaultr completion zsh > ~/.zfunc/_vaultr      # if ~/.zfunc is in fpath",
    "vaultr completion fish > ~/.config/fish/completions/vaultr.fish",
    no_args_is_help=True,
)
@click.argument("shell", type=click.Choice(SHELL_NAMES))
@pass_options
def completion(options: GlobalOptions, shell: str) -> None:
    """Print the completion script for a shell.

    It completes commands, options and their values. While the device is unlocked, it also
    completes titles of items and names of environment sets and vaults. It never asks for a secret
    and never contacts the server.
    """
    from vaultr.client.cli.completion_scripts import SHELLS  # noqa: PLC0415 - only for this command

    root = click.get_current_context().find_root()
    script = SHELLS[shell](root.command, {}, "vaultr", VARIABLE).source()
    if options.json:
        output.print_json({"shell": shell, "script": script})
    else:
        output.print_value(script, newline=not script.endswith("\n"))


def complete(root: click.Group) -> bool:
    """Print the candidates for a shell; return False if no shell asked for them."""
    shell, _, instruction = os.environ.get(VARIABLE, "").partition("_")
    if shell not in SHELL_NAMES or instruction != "complete":
        return False
    from vaultr.client.cli.completion_scripts import SHELLS  # noqa: PLC0415 - only when a shell asks

    # A shell runs this at every Tab, and an error message would garble the command line.
    with contextlib.suppress(VaultrError, OSError, ValueError, KeyError, IndexError):
        output.print_value(SHELLS[shell](root, {}, "vaultr", VARIABLE).complete())
    return True
