"""The command `vaultr run`, which runs a command with environment sets."""

import os
import sys
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.completers import set_titles
from vaultr.client.cli.env_options import VariableOptions, variable_options
from vaultr.client.cli.offline_options import Duration, copy_options, uses_copy, with_fallback
from vaultr.client.cli.options import (
    GlobalOptions,
    command,
    every_option,
    pass_options,
    vault_option,
)
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError
from vaultr.client.items.references import is_reference
from vaultr.client.run import execute

if TYPE_CHECKING:
    from vaultr.client.run.environment import EnvironmentSpec
    from vaultr.client.run.supervisor import ChildEnvironment
    from vaultr.client.run.watcher import ResolvedVariables, Watcher
    from vaultr.client.vaultr_client import Vaultr


@command(
    "run",
    "vaultr run --env-set prod -- ./manage.py migrate",
    "vaultr run --env-set base --env-set prod --last-wins -- sh -c 'echo $DATABASE_URL'",
    "vaultr run --env-file .env.vaultr --mask -- npm start",
    "vaultr run --env-set vaultr://Work/prod --only 'DB_*' --watch -- ./server",
    no_args_is_help=True,
    # Options after the first word of the command belong to it, also without --.
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "--env-set",
    "names",
    multiple=True,
    metavar="SET",
    help="Environment set: title, id or vaultr://VAULT/SET (repeatable)",
    shell_complete=set_titles,
)
@click.option(
    "--env-file",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Dotenv file; values may be references (repeatable)",
)
@variable_options
@click.option(
    "--clean-env",
    is_flag=True,
    help="Start with a clean environment (keeps PATH, HOME, USER, …)",
)
@click.option("--mask", is_flag=True, help="Mask secrets of 4 or more characters in the output")
@click.option("--watch", is_flag=True, help="Restart the command when values change")
@every_option
@click.option("--pass-token", is_flag=True, help="Let COMMAND inherit the token of the machine")
@click.option(
    "--fallback-max-age",
    "fallback",
    type=Duration(),
    metavar="AGE",
    help="While the server is unreachable, use a copy of at most this age",
)
@copy_options
@vault_option("Vault of sets without vaultr://VAULT/, by id or name")
@click.argument("words", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True)
@pass_options
def run(
    options: GlobalOptions,
    /,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    variables: VariableOptions,
    clean_env: bool,
    mask: bool,
    watch: bool,
    every: float,
    pass_token: bool,
    fallback: timedelta | None,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
    words: tuple[str, ...],
) -> None:
    """Run a command with secrets in its environment variables.

    Only COMMAND gets the values. If a variable is set more than once, --env-file overrides
    --env-set, and both override the inherited environment. If the value of an inherited variable,
    or of one in a file, is a reference (vaultr://VAULT/ITEM/FIELD), COMMAND gets the value that the
    reference names.

    COMMAND replaces the process of vaultr. With --mask or --watch, COMMAND runs as a child process
    that receives the signals sent to vaultr, and its exit code is returned. The exit code is 127 if
    COMMAND is not found, and 126 if it cannot be executed.
    """
    _check_options(options, names, files, words, watch=watch, offline=offline)
    spec = variables.spec(names, files, vault=vault)
    with unlocked_sdk(options) as vaultr:
        from_copy = uses_copy(vaultr, offline=offline, max_age=max_age)
        inherit = _Inherited(clean=clean_env, token=pass_token)
        builder = with_fallback(
            vaultr,
            fallback,
            lambda copy: _EnvironmentBuilder(vaultr, spec, inherit, offline=from_copy or copy),
        )
        watcher = builder.watcher(vaultr, every_seconds=every) if watch else None
    # Here the keys are forgotten. If an agent holds them, the password descriptor is still unread;
    # and output must be flushed before the command replaces this process.
    prompts.close_secret_descriptors(options)
    sys.stdout.flush()
    sys.stderr.flush()
    if not mask and watcher is None:
        execute.replace_process(words, builder.variables)
    _supervise(words, builder.child_environment(), watcher, mask=mask)


def _check_options(
    options: GlobalOptions,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    words: tuple[str, ...],
    *,
    watch: bool,
    offline: bool,
) -> None:
    if options.json:
        raise UsageError("`vaultr run` prints only the program's output, so there is no --json.")
    if not (names or files or _inherited_references()):
        raise UsageError(
            "No variables to run the command with. Use --env-set or --env-file, or set a variable"
            " to vaultr://VAULT/ITEM/FIELD."
        )
    if watch and offline:
        raise UsageError("--watch contacts the server. Do not combine it with --offline.")
    execute.check_command(words)


@dataclass(frozen=True, slots=True)
class _Inherited:
    """What the command inherits: only basic variables, and the token of the machine."""

    clean: bool
    token: bool


class _EnvironmentBuilder:
    """Builds the environment of the command from a specification and inherited references."""

    def __init__(
        self, vaultr: "Vaultr", spec: "EnvironmentSpec", inherit: _Inherited, *, offline: bool
    ) -> None:
        # Loads the code that opens items, which `--help` does not need.
        from vaultr.client.run.environment import resolve_environment, resolve_references  # noqa: PLC0415 - late, see above

        self._spec, self._inherit = spec, inherit
        self._resolved = resolve_environment(vaultr, spec, offline=offline)
        self._references = resolve_references(
            _inherited_references(), vaultr.resolver(offline=True)
        )

    @property
    def variables(self) -> dict[bytes, bytes]:
        """Return the complete environment of the command."""
        return self._merge(self._resolved.variables, self._references)

    def child_environment(self) -> "ChildEnvironment":
        """Return the first environment of a child."""
        return self._build(self._snapshot())

    def watcher(self, vaultr: "Vaultr", *, every_seconds: float) -> "Watcher":
        """Start watching the values for changes."""
        from vaultr.client.run.watcher import Watcher  # noqa: PLC0415 - only for --watch

        return Watcher(
            vaultr,
            self._spec,
            _inherited_references(),
            last=self._snapshot(),
            every_seconds=every_seconds,
            build=self._build,
            notify=_print_note,
        )

    def _snapshot(self) -> "ResolvedVariables":
        from vaultr.client.run.watcher import snapshot  # noqa: PLC0415 - only beside a child

        return snapshot(self._resolved, self._references)

    def _merge(
        self, variables: Mapping[str, str], references: Mapping[str, str]
    ) -> dict[bytes, bytes]:
        merged = {**references, **variables}
        inherit = self._inherit
        return execute.build_environment(
            merged, os.environb, clean=inherit.clean, pass_token=inherit.token
        )

    def _build(self, snapshot: "ResolvedVariables") -> "ChildEnvironment":
        from vaultr.client.run.supervisor import ChildEnvironment  # noqa: PLC0415 - seldom needed

        secrets = (*snapshot["secrets"], *snapshot["references"].values())
        return ChildEnvironment(self._merge(snapshot["variables"], snapshot["references"]), secrets)


def _inherited_references() -> dict[str, str]:
    """Return the variables of this process whose values are references."""
    return {name: value for name, value in os.environ.items() if is_reference(value)}


def _supervise(
    words: tuple[str, ...],
    environment: "ChildEnvironment",
    watcher: "Watcher | None",
    *,
    mask: bool,
) -> None:
    from vaultr.client.run.supervisor import Supervisor, exit_like  # noqa: PLC0415 - seldom needed

    with nullcontext() if watcher is None else closing(watcher):
        code = Supervisor(words, mask=mask, changes=watcher).run(environment)
    raise SystemExit(exit_like(code))


def _print_note(text: str) -> None:
    output.print_note(f"vaultr: {output.printable(text)}")
