"""The run command: environment sets for one process and nobody else."""

import os
import sys
from collections.abc import Mapping
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.completers import set_titles
from vaultr.client.cli.env_options import Sources, environment_options
from vaultr.client.cli.offline_options import copy_options, from_copy
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
from vaultr.client.errors import UsageError
from vaultr.client.items.references import is_reference
from vaultr.client.run import execute as running

if TYPE_CHECKING:
    from vaultr.client.run.environment import Wish
    from vaultr.client.run.supervisor import Environment
    from vaultr.client.run.watcher import Seen, Watcher
    from vaultr.client.vaultr_client import Vaultr


@command(
    "run",
    "vaultr run --env-set prod -- ./manage.py migrate",
    "vaultr run --env-set base --env-set prod --last-wins -- sh -c 'echo $DATABASE_URL'",
    "vaultr run --env-file .env.vaultr --mask -- npm start",
    "vaultr run --env-set vaultr://Work/prod --only 'DB_*' --watch -- ./server",
    no_args_is_help=True,
    # What stands behind the first word of the command belongs to it, also without --.
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "--env-set",
    "names",
    multiple=True,
    metavar="SET",
    help="An environment set, by title, id or vaultr://VAULT/SET; may come again.",
    shell_complete=set_titles,
)
@click.option(
    "--env-file",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A dotenv file whose values may be references; may come again, and is later than sets.",
)
@environment_options
@click.option("--clean-env", is_flag=True, help="Of this environment pass on only PATH, HOME, …")
@click.option(
    "--mask", is_flag=True, help="Cover values of four characters and more in what it prints."
)
@click.option("--watch", is_flag=True, help="End it and begin anew when the values change.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1, max=86_400),
    default=10.0,
    metavar="SECONDS",
    help="How often --watch asks the server; else every 10.",
)
@copy_options
@vault_option("The vault of the sets that name none.")
@click.argument("words", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True)
@pass_choices
def run(
    choices: Choices,
    /,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    sources: Sources,
    clean_env: bool,
    mask: bool,
    watch: bool,
    every: float,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
    words: tuple[str, ...],
) -> None:
    """Run a command with environment sets.

    The values are in the environment of this command, and nowhere else. A variable of this
    environment, or of a file, whose value is a reference (vaultr://VAULT/ITEM/FIELD) gets what the
    reference names.

    The command takes the place of this process: signals, terminal and exit code are its own. With
    --mask or --watch it runs beside it, and they are passed on. Names that it would have inherited
    give way to those of the sets. It ends 127 if there is no such command, 126 if it cannot be
    executed.
    """
    _check(choices, names, files, words, watched=watch, offline=offline)
    wish = sources.wish(names, files, vault=vault)
    with opened(choices) as vaultr:
        copy = from_copy(vaultr, offline=offline, max_age=max_age)
        given = _Given(vaultr, wish, offline=copy, clean=clean_env)
        watcher = given.watched(vaultr, every_seconds=every) if watch else None
    # The keys are forgotten here. With an unlock process the password was not read yet; and what
    # was printed must be out before this process is another.
    prompts.forget_descriptors(choices)
    sys.stdout.flush()
    sys.stderr.flush()
    if not mask and watcher is None:
        running.become(words, given.environment)
    _supervise(words, given.first(), watcher, masked=mask)


def _check(
    choices: Choices,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    words: tuple[str, ...],
    *,
    watched: bool,
    offline: bool,
) -> None:
    if choices.json:
        raise UsageError("run answers nothing of its own, so there is no --json.")
    if not (names or files or _references()):
        raise UsageError(
            "Say --env-set or --env-file: there is nothing to run it with. A variable here whose"
            " value is vaultr://VAULT/ITEM/FIELD does it, too."
        )
    if watched and offline:
        raise UsageError("--watch asks the server again and again, which --offline forbids.")
    running.check_command(words)


class _Given:
    """What a command is given: the variables of the wish, and of references around it."""

    def __init__(self, vaultr: "Vaultr", wish: "Wish", *, offline: bool, clean: bool) -> None:
        # It loads what opens items, which --help does not need.
        from vaultr.client.run.environment import gather, resolved  # noqa: PLC0415 - late, see above

        self._wish, self._clean = wish, clean
        self._gathered = gather(vaultr, wish, offline=offline)
        self._references = resolved(_references(), vaultr.resolver(offline=True))

    @property
    def environment(self) -> dict[bytes, bytes]:
        """The whole environment of the command."""
        return self._whole(self._gathered.variables, self._references)

    def first(self) -> "Environment":
        """Give what the command begins with."""
        return self._build(self._seen())

    def watched(self, vaultr: "Vaultr", *, every_seconds: float) -> "Watcher":
        """Look for changes from now on."""
        from vaultr.client.run.watcher import Watcher  # noqa: PLC0415 - only for --watch

        return Watcher(
            vaultr,
            self._wish,
            _references(),
            last=self._seen(),
            every_seconds=every_seconds,
            build=self._build,
            tell=_tell,
        )

    def _seen(self) -> "Seen":
        from vaultr.client.run.watcher import seen  # noqa: PLC0415 - only beside a command

        return seen(self._gathered, self._references)

    def _whole(
        self, variables: Mapping[str, str], references: Mapping[str, str]
    ) -> dict[bytes, bytes]:
        named = {**references, **variables}
        return running.environment(named, os.environb, clean=self._clean)

    def _build(self, seen: "Seen") -> "Environment":
        from vaultr.client.run.supervisor import Environment  # noqa: PLC0415 - seldom needed

        secrets = (*seen["secrets"], *seen["references"].values())
        return Environment(self._whole(seen["variables"], seen["references"]), secrets)


def _references() -> dict[str, str]:
    """Give the variables of this environment whose whole value is a reference."""
    return {name: value for name, value in os.environ.items() if is_reference(value)}


def _supervise(
    words: tuple[str, ...], given: "Environment", watcher: "Watcher | None", *, masked: bool
) -> None:
    from vaultr.client.run.supervisor import Supervisor, end_as  # noqa: PLC0415 - seldom needed

    with nullcontext() if watcher is None else closing(watcher):
        code = Supervisor(words, masked=masked, changes=watcher).run(given)
    raise SystemExit(end_as(code))


def _tell(text: str) -> None:
    output.tell(f"vaultr: {output.printable(text)}")
