"""Global options, accepted before or after the command name, and the layout of help pages."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click
from click.core import ParameterSource

from vaultr.client.cli import machine_mode, suggestions
from vaultr.client.cli.completers import vault_names
from vaultr.client.errors import UsageError

_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_FILE_DESCRIPTOR: Final = click.IntRange(min=0)
_GLOBAL_OPTIONS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("--url", {"metavar": "URL", "help": "URL of the server (default: VAULTR_URL, or last value)"}),
    ("--email", {"metavar": "ADDRESS", "help": "Email address of the account"}),
    (
        "--password-fd",
        {
            "type": _FILE_DESCRIPTOR,
            "metavar": "N",
            "help": "Read the master password from file descriptor N",
        },
    ),
    (
        "--secret-key-fd",
        {
            "type": _FILE_DESCRIPTOR,
            "metavar": "N",
            "help": "Read the secret key from file descriptor N",
        },
    ),
    (
        "--totp-fd",
        {
            "type": _FILE_DESCRIPTOR,
            "metavar": "N",
            "help": "Read a TOTP code or recovery code from file descriptor N",
        },
    ),
    (
        "--ca-file",
        {
            "type": click.Path(exists=True, dir_okay=False, path_type=Path),
            "metavar": "FILE",
            "help": "PEM file of a private CA (default: VAULTR_CA_FILE, or last value)",
        },
    ),
    ("--json", {"is_flag": True, "help": "Print JSON"}),
)


@dataclass(slots=True)
class GlobalOptions:
    """Values of the options that every command accepts.

    :ivar may_use_copy: whether ``--offline`` or ``--max-age`` allows reading the copy on this
        device.
    :ivar offline: whether the server must not be contacted.
    :ivar password: the master password, cached so that a command asks once; a file descriptor can
        be read only once.
    """

    url: str | None = None
    email: str | None = None
    password_fd: int | None = None
    secret_key_fd: int | None = None
    totp_fd: int | None = None
    ca_file: Path | None = None
    json: bool = False
    may_use_copy: bool = False
    offline: bool = False
    password: str | None = field(default=None, repr=False)

    @property
    def secret_fds(self) -> list[int]:
        """Return the file descriptors that carry secrets."""
        numbers = (self.password_fd, self.secret_key_fd, self.totp_fd)
        return [number for number in numbers if number is not None]

    @property
    def server(self) -> str | None:
        """Return the server's URL from ``--url`` or ``VAULTR_URL``; None means the stored one."""
        return self.url or os.environ.get("VAULTR_URL") or None

    @property
    def trusted_ca_file(self) -> Path | None:
        """Return the CA file from ``--ca-file`` or ``VAULTR_CA_FILE``; None means the stored one.

        :raises UsageError: the variable does not name a file.
        """
        named = os.environ.get("VAULTR_CA_FILE")
        if self.ca_file is not None or not named:
            return self.ca_file
        if not Path(named).is_file():
            raise UsageError("VAULTR_CA_FILE does not name a file.")
        return Path(named)


def global_options(context: click.Context) -> GlobalOptions:
    """Return the global options of this run, set before or after the command name."""
    options = context.find_root().ensure_object(GlobalOptions)
    if len(set(options.secret_fds)) < len(options.secret_fds):
        raise click.UsageError("--password-fd, --secret-key-fd and --totp-fd must differ.", context)
    return options


def pass_options(function: Callable[..., None]) -> Callable[..., None]:
    """Pass the global options to a command as its first argument."""

    @wraps(function)
    def with_options(*args: Any, **kwargs: Any) -> None:
        function(global_options(click.get_current_context()), *args, **kwargs)

    return with_options


def _store_option(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    name = parameter.name
    if name and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        setattr(context.find_root().ensure_object(GlobalOptions), name, value)


class _CommandWithGlobalOptions(click.Command):
    """A command that accepts the global options, lists them separately, and has examples."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {}).setdefault("help_option_names", ["-h", "--help"])
        super().__init__(*args, **kwargs)
        self.global_options = [
            click.Option([name], expose_value=False, callback=_store_option, **settings)
            for name, settings in _GLOBAL_OPTIONS
        ]
        self.params = [*self.params, *self.global_options]
        self.examples = examples

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. A machine may ask for the help of every command, but not run it."""
        if not context.resilient_parsing and not {"-h", "--help"} & {*args}:
            machine_mode.check_command(context)
        return super().parse_args(context, args)

    def get_help_option(self, context: click.Context) -> click.Option | None:
        option = super().get_help_option(context)
        if option is not None:
            option.help = "Show this help"
        return option

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of this command, and then those of every command."""
        global_ids = {id(option) for option in self.global_options}
        own_rows: list[tuple[str, str]] = []
        global_rows: list[tuple[str, str]] = []
        for parameter in self.get_params(context):
            if not isinstance(parameter, click.Option):
                continue
            row = parameter.get_help_record(context)
            if row is not None:
                (global_rows if id(parameter) in global_ids else own_rows).append(row)
        for title, rows in (("Options", own_rows), ("Global options", global_rows)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(context, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Command(_CommandWithGlobalOptions):
    """A command with global options and examples."""


class Group(_CommandWithGlobalOptions, click.Group):
    """A group that lists its commands in the order in which they were added.

    :param other_names: names in other tools, with the command of this group for each.
    """

    command_class = Command

    def __init__(self, *args: Any, other_names: Mapping[str, str] = _NONE, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.other_names = other_names
        self.sections: dict[str, list[str]] = {}
        self.aliases: dict[str, str] = {}

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by its name or alias."""
        return super().get_command(context, self.aliases.get(name, name))

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands that the help lists under one title."""
        for each in commands:
            self.add_command(each)
        names = [each.name for each in commands if each.name]
        self.sections.setdefault(title, []).extend(names)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of ``args``; suggest one if the name is unknown."""
        if context.parent is None and self.get_command(context, args[0]) is None:
            suggestions.check_command_name(args[0], context)
        elif self.get_command(context, args[0]) is None and args[0] in self.other_names:
            raise click.UsageError(
                f"No such command {args[0]!r}. Try: {context.command_path}"
                f" {self.other_names[args[0]]}",
                context,
            )
        return super().resolve_command(context, args)

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands in the order in which they were added."""
        return list(self.commands)

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options and then the commands."""
        super().format_options(context, formatter)
        self.format_commands(context, formatter)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, section by section."""
        width = max(map(len, self.commands), default=0)
        help_width = formatter.width - width - 6
        in_sections = {name for names in self.sections.values() for name in names}
        others = [name for name in self.commands if name not in in_sections]
        for title, names in {**self.sections, "Commands": others}.items():
            if names:
                with formatter.section(title):
                    formatter.write_dl(
                        [
                            (name.ljust(width), self.commands[name].get_short_help_str(help_width))
                            for name in names
                        ]
                    )


def command(name: str, *examples: str, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command; ``examples`` are complete command lines."""
    return click.command(name, cls=Command, examples=examples, **settings)


def vault_option(help_text: str = "Vault, by id or name") -> Callable[..., Any]:
    """Declare ``--vault``."""
    return click.option("--vault", metavar="VAULT", help=help_text, shell_complete=vault_names)


def breach_file_option(help_text: str) -> Callable[..., Any]:
    """Declare ``--breach-file``."""
    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option("--breach-file", type=path, metavar="FILE", help=help_text)


every_option = click.option(
    "--every",
    type=click.FloatRange(min=0.1, max=86_400),
    default=10.0,
    metavar="SECONDS",
    help="How often --watch asks the server (default: 10)",
)
