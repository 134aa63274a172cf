"""The shell hook: load a folder's environment sets on entering, after they were allowed."""

import os
from pathlib import Path

import click

from vaultr.client.cli import output
from vaultr.client.cli.options import GlobalOptions, command, pass_options
from vaultr.client.cli.sdk_session import locked_sdk
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.exports import shell_quoting

_SHELLS = ("bash", "zsh", "fish")
_FILE = ".vaultr"
_file = click.argument("file", type=click.Path(path_type=Path), default=Path(_FILE), required=False)


@command(
    "hook",
    'eval "$(vaultr hook bash)"   # in ~/.bashrc',
    "vaultr hook fish | source      # in ~/.config/fish/config.fish",
    no_args_is_help=True,
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.option(
    "--enter",
    type=click.Path(path_type=Path),
    metavar="FILE",
    hidden=True,
    help="Print the variables of this file",
)
@pass_options
def hook(options: GlobalOptions, /, shell: str, enter: Path | None) -> None:
    """Print a shell hook that loads environment sets.

    A .vaultr file names environment sets, one vaultr://VAULT/SET per line. The hook loads them when
    you enter its folder, and unloads them when you leave. It loads nothing before you run `vaultr
    allow`, and nothing while the device is locked.
    """
    from vaultr.client.integrations import shell_hook  # noqa: PLC0415 - would slow other commands

    if enter is None:
        output.print_value(shell_hook.script(shell), newline=False)
        return
    # An error must not delay the prompt: print it on stderr, and load nothing.
    try:
        output.print_value(_entered(options, shell, enter), newline=False)
    except (VaultrError, OSError) as error:
        output.print_note(f"vaultr: {output.printable(str(error))}")


def _entered(options: GlobalOptions, shell: str, file: Path) -> str:
    from vaultr.client.integrations import shell_hook  # noqa: PLC0415 - would slow other commands
    from vaultr.client.run.environment import EnvironmentSpec, resolve_environment  # noqa: PLC0415 - would slow other commands
    from vaultr.client.storage.private_folder import Folder, home_folder  # noqa: PLC0415 - would slow others

    place, content = _content_of(file)
    if not shell_hook.AllowedFiles(Folder(home_folder())).is_allowed(place, content):
        raise VaultrError(
            f"{place} was not loaded: it is not allowed, or has changed. Review it, then run:"
            " vaultr allow"
        )
    sets = shell_hook.sets_in(content)
    with locked_sdk(options) as vaultr:
        if not vaultr.unlocked:
            raise VaultrError(
                f"The sets of {place} were not loaded: this device is locked. Run vaultr unlock,"
                " then cd ."
            )
        found = (
            resolve_environment(vaultr, EnvironmentSpec(tuple(sets)), offline=False)
            if sets
            else None
        )
    variables = found.variables if found is not None else {}
    output.print_note(f"vaultr: loaded {len(variables)} variables: {', '.join(variables)}")
    return shell_hook.enter(shell, variables, os.environ, shell_quoting.shell)


@command("allow", "vaultr allow", "vaultr allow project/.vaultr")
@_file
@pass_options
def allow(options: GlobalOptions, /, file: Path) -> None:
    """Allow the hook to load a .vaultr file.

    The permission holds for this path and this content: if the file changes, allow it again.
    """
    from vaultr.client.integrations import shell_hook  # noqa: PLC0415 - would slow other commands
    from vaultr.client.storage.private_folder import Folder, home_folder  # noqa: PLC0415 - would slow others

    place, content = _content_of(file)
    sets = shell_hook.sets_in(content)
    shell_hook.AllowedFiles(Folder(home_folder())).allow(place, content)
    output.print_result(
        options.json,
        {"file": str(place), "sets": sets},
        f"Allowed: {output.printable(str(place))} ({', '.join(map(output.printable, sets))})",
    )


@command("deny", "vaultr deny", "vaultr deny project/.vaultr")
@_file
@pass_options
def deny(options: GlobalOptions, /, file: Path) -> None:
    """Revoke the permission to load a .vaultr file."""
    from vaultr.client.integrations import shell_hook  # noqa: PLC0415 - would slow other commands
    from vaultr.client.storage.private_folder import Folder, home_folder  # noqa: PLC0415 - would slow others

    place = _place_of(file)
    was = shell_hook.AllowedFiles(Folder(home_folder())).deny(place)
    done = "Denied" if was else "It was not allowed"
    output.print_result(
        options.json,
        {"file": str(place), "was_allowed": was},
        f"{done}: {output.printable(str(place))}",
    )


def _place_of(file: Path) -> Path:
    return (file / _FILE if file.is_dir() else file).resolve()


def _content_of(file: Path) -> tuple[Path, bytes]:
    place = _place_of(file)
    if not place.is_file():
        raise UsageError(
            f"{place} does not exist or is not a file. Write one vaultr://VAULT/SET per line in it."
        )
    with place.open("rb") as source:
        return place, source.read(1 << 20)
