"""Options that every command takes, before its name or after it, and how help shows them."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vaultr.client.cli import suggestions
from vaultr.client.cli.completers import vault_names


@dataclass(slots=True)
class Choices:
    """What was said by options that every command takes."""

    url: str | None = None
    email: str | None = None
    password_fd: int | None = None
    secret_key_fd: int | None = None
    totp_fd: int | None = None
    ca_file: Path | None = None
    json: bool = False
    # Whether the command may do with the copy on this device, as --offline and --max-age allow.
    copy_may_do: bool = False
    # Whether nothing may be sent to the server.
    offline: bool = False
    # What was asked for, so that no command asks twice; a descriptor can be read only once.
    password: str | None = field(default=None, repr=False)

    @property
    def secret_fds(self) -> list[int]:
        """The descriptors that hold secrets."""
        named = (self.password_fd, self.secret_key_fd, self.totp_fd)
        return [number for number in named if number is not None]

    @property
    def server(self) -> str | None:
        """The server's address: as given, else from ``VAULTR_URL``, else what the folder knows."""
        return self.url or os.environ.get("VAULTR_URL") or None


def choices_of(context: click.Context) -> Choices:
    """Give the choices of this run; options before and after the command fill the same object."""
    choices = context.find_root().ensure_object(Choices)
    if len(set(choices.secret_fds)) < len(choices.secret_fds):
        raise click.UsageError("--password-fd, --secret-key-fd and --totp-fd must differ.", context)
    return choices


def pass_choices(function: Callable[..., None]) -> Callable[..., None]:
    """Hand the choices to a command as its first argument."""

    @wraps(function)
    def with_choices(*arguments: Any, **named: Any) -> None:
        function(choices_of(click.get_current_context()), *arguments, **named)

    return with_choices


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    name = parameter.name
    if name and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        setattr(context.find_root().ensure_object(Choices), name, value)


def _common_options() -> list[click.Option]:
    descriptor = click.IntRange(min=0)
    said: list[tuple[str, dict[str, Any]]] = [
        ("--url", {"metavar": "URL", "help": "The server (else VAULTR_URL, else as last time)."}),
        ("--email", {"metavar": "ADDRESS", "help": "Whose account it is."}),
        (
            "--password-fd",
            {"type": descriptor, "metavar": "N", "help": "Read the password from descriptor N."},
        ),
        (
            "--secret-key-fd",
            {"type": descriptor, "metavar": "N", "help": "Read the secret key from descriptor N."},
        ),
        (
            "--totp-fd",
            {
                "type": descriptor,
                "metavar": "N",
                "help": "Read the second factor's code, or a recovery code, from descriptor N.",
            },
        ),
        (
            "--ca-file",
            {
                "type": click.Path(exists=True, dir_okay=False, path_type=Path),
                "help": "Certificates (PEM) of a private authority that signs for the server.",
            },
        ),
        ("--json", {"is_flag": True, "help": "Answer in JSON."}),
    ]
    return [
        click.Option([name], expose_value=False, callback=_remember, **more) for name, more in said
    ]


class _WithCommonOptions(click.Command):
    """Takes the common options, shows them apart, and ends its help with examples."""

    def __init__(self, *arguments: Any, examples: tuple[str, ...] = (), **more: Any) -> None:
        more.setdefault("context_settings", {}).setdefault("help_option_names", ["-h", "--help"])
        super().__init__(*arguments, **more)
        self.common = _common_options()
        self.params = [*self.params, *self.common]
        self.examples = examples

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        common = {id(option) for option in self.common}
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for parameter in self.get_params(context):
            if not isinstance(parameter, click.Option):
                continue
            record = parameter.get_help_record(context)
            if record is not None:
                (shared if id(parameter) in common else own).append(record)
        for title, records in (("Options", own), ("Options of every command", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(context, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Command(_WithCommonOptions):
    """One command."""


class Group(_WithCommonOptions, click.Group):
    """Commands under one name, in the order in which they were added."""

    command_class = Command

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.sections: dict[str, list[str]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands that the help lists together."""
        for each in commands:
            self.add_command(each)
        names = [each.name for each in commands if each.name]
        self.sections.setdefault(title, []).extend(names)

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if context.parent is None and self.get_command(context, words[0]) is None:
            suggestions.check_word(words[0], context)
        return super().resolve_command(context, words)

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(context, formatter)
        self.format_commands(context, formatter)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands), default=0)
        room = formatter.width - width - 6
        listed = {name for names in self.sections.values() for name in names}
        rest = [name for name in self.commands if name not in listed]
        for title, names in {**self.sections, "Commands": rest}.items():
            if names:
                with formatter.section(title):
                    formatter.write_dl(
                        [
                            (name.ljust(width), self.commands[name].get_short_help_str(room))
                            for name in names
                        ]
                    )


def command(name: str, *examples: str, **more: Any) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command; ``examples`` are whole lines as a user types them."""
    return click.command(name, cls=Command, examples=examples, **more)


def vault_option(help_text: str = "The vault, by id or name.") -> Callable[..., Any]:
    """Declare ``--vault``."""
    return click.option("--vault", metavar="VAULT", help=help_text, shell_complete=vault_names)
