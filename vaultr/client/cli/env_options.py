"""Options of run and export that select and rename environment variables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.run.environment import EnvironmentSpec


@dataclass(frozen=True, slots=True)
class VariableOptions:
    """Values of ``--last-wins``, ``--only`` and ``--prefix``."""

    last_wins: bool = False
    only: tuple[str, ...] = ()
    prefix: str = ""
    allow: tuple[str, ...] = ()

    def spec(
        self,
        sets: tuple[str, ...],
        files: tuple[Path, ...] = (),
        *,
        vault: str | None,
        is_run: bool = True,
    ) -> "EnvironmentSpec":
        """Return the specification of an environment; read the dotenv files now.

        :param is_run: whether names that change how programs run must be allowed.
        :raises UsageError: a file is not a dotenv file. The message lists the lines.
        """
        # Loads the code that opens items, which `--help` does not need.
        from vaultr.client.run.environment import EnvironmentSpec  # noqa: PLC0415 - late, see above

        contents = tuple((str(file), _read_dotenv(file)) for file in files)
        allow = self.allow if is_run else None
        return EnvironmentSpec(sets, contents, vault, self.only, self.prefix, self.last_wins, allow)


def variable_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options, and pass their values as ``variables``."""

    @wraps(function)
    def with_variables(
        *args: Any,
        last_wins: bool,
        only: tuple[str, ...],
        prefix: str,
        allow: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        variables = VariableOptions(last_wins, only, prefix, allow)
        return function(*args, variables=variables, **kwargs)

    options = (
        click.option(
            "--last-wins",
            is_flag=True,
            help="Let the last set win if two define the same variable",
        ),
        click.option(
            "--only",
            multiple=True,
            metavar="PATTERN",
            help="Only variables that match, such as DB_* (repeatable)",
        ),
        click.option("--prefix", default="", metavar="TEXT", help="Prefix for each variable name"),
        click.option(
            "--allow",
            multiple=True,
            metavar="NAME",
            help="Allow a name such as PATH or LD_PRELOAD in a set (repeatable)",
        ),
    )
    decorated: Callable[..., Any] = with_variables
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _read_dotenv(file: Path) -> Mapping[str, str]:
    # Few commands need the dotenv parser.
    from vaultr.client.imports import dotenv  # noqa: PLC0415 - late, see above
    from vaultr.client.imports.problems import ImportProblems  # noqa: PLC0415 - late, see above

    try:
        [draft] = dotenv.read(file.read_bytes(), title=file.name or "-")
    except ImportProblems as error:
        lines = "\n".join(f"{file}: {problem}" for problem in error.problems)
        raise UsageError(lines) from None
    variables: dict[str, str] = draft.detail["variables"]
    return variables
