"""Options that say what is in an environment, for run and for export."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.run.environment import Wish


@dataclass(frozen=True, slots=True)
class Sources:
    """What the options said."""

    last_wins: bool
    only: tuple[str, ...]
    prefix: str
    allow: tuple[str, ...]

    NONE: ClassVar["Sources"]

    def wish(
        self,
        sets: tuple[str, ...],
        files: tuple[Path, ...] = (),
        *,
        vault: str | None,
        is_run: bool = True,
    ) -> "Wish":
        """Join them with the sets and files that were named; the files are read now.

        :param is_run: names that change how programs run must be allowed.
        :raises UsageError: a file is no dotenv file; names the lines.
        """
        # It loads what opens items, which --help does not need.
        from vaultr.client.run.environment import Wish  # noqa: PLC0415 - late, see above

        read = tuple((str(file), _read(file)) for file in files)
        allow = self.allow if is_run else None
        return Wish(sets, read, vault, self.only, self.prefix, self.last_wins, allow)


Sources.NONE = Sources(last_wins=False, only=(), prefix="", allow=())


def environment_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options, and hand over what they say as ``sources``."""

    @wraps(function)
    def gathered(
        *arguments: Any,
        last_wins: bool,
        only: tuple[str, ...],
        prefix: str,
        allow: tuple[str, ...],
        **named: Any,
    ) -> Any:
        return function(*arguments, sources=Sources(last_wins, only, prefix, allow), **named)

    options = (
        click.option(
            "--last-wins",
            is_flag=True,
            help="Let what is named later win where two hold one name; else that is an error.",
        ),
        click.option(
            "--only",
            multiple=True,
            metavar="PATTERN",
            help="Only the variables whose names fit, as DB_*; may come again.",
        ),
        click.option("--prefix", default="", metavar="TEXT", help="Put TEXT before each name."),
        click.option(
            "--allow",
            multiple=True,
            metavar="NAME",
            help="Allow a name such as PATH or LD_PRELOAD in a set (repeatable)",
        ),
    )
    decorated: Callable[..., Any] = gathered
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _read(file: Path) -> Mapping[str, str]:
    # One command of many needs the reader of dotenv files.
    from vaultr.client.imports import dotenv  # noqa: PLC0415 - late, see above
    from vaultr.client.imports.problems import ImportProblems  # noqa: PLC0415 - late, see above

    try:
        [draft] = dotenv.read(file.read_bytes(), title=file.name or "-")
    except ImportProblems as odd:
        lines = "\n".join(f"{file}: {problem}" for problem in odd.problems)
        raise UsageError(lines) from None
    variables: dict[str, str] = draft.detail["variables"]
    return variables
