"""Writes docs/cli.md out of the commands themselves, so that it says what they do."""

from pathlib import Path

import click

from vaultr.client.cli.exit_codes import ENVIRONMENT, EXIT_CODES
from vaultr.client.cli.main import vaultr
from vaultr.client.cli.options import Choices

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
COLUMNS = 100
SHARED = "Options of every command:"

OPENING = """\
# The `vaultr` command

This page is written out of the commands (`pytest --write-docs tests/client/test_cli_page.py`) and
compared with them by a test. `vaultr COMMAND --help` says the same.

Answers go to standard output, all else to standard error. No command takes a secret as an
argument: it asks on the terminal without showing what is typed, or reads a descriptor
(`--password-fd 3 3< file`). `list` and `show` print no secret unless asked (`--reveal`,
`--field password`). How a session looks on a terminal: [terminal-session.md](terminal-session.md).

## References

`vaultr://VAULT/ITEM/FIELD` names one value wherever one is wanted: in `vaultr read`, in the
templates of `vaultr inject`, as a value of `vaultr run --env-file`, as a value of a variable that
`vaultr run` inherits, and in `vaultr copy`. Vault and item are named by id, or by a name or title
that only one has; the field as `show --field` takes it. An exact name wins; where none is exact,
upper and lower case may differ, and what then fits several is refused. Commands that take items
away or back (`rm`, `move`, `restore`) want the exact title. A `/` in a name is written `%2F`, a `?`
`%3F` and a `%` `%25`. With `?as=code` behind it, the reference stands for the one-time code that
the field's secret gives at this moment. `vaultr://VAULT/SET` names an environment set.

## Without the server

`--offline` reads the copy on this device, and says on standard error how old it is. `--max-age 12h`
says how old it may be: a younger copy is then read without asking the server, an older one is
renewed first, or refused where `--offline` forbids that (exit code 1).
"""


def page() -> str:
    """Give the whole page."""
    root = _context(vaultr, "vaultr", obj=Choices())
    return "\n".join(
        [
            OPENING,
            _table("Exit codes", "code", EXIT_CODES),
            _table("Environment", "variable", ENVIRONMENT),
            _shared(root),
            "## Commands\n",
            *_commands(vaultr, root),
        ]
    )


def _context(command, name, **more):
    settings = command.context_settings
    return click.Context(command, info_name=name, terminal_width=COLUMNS, **settings, **more)


def commands(group=vaultr, path=("vaultr",)):
    """Give all commands with their names, groups before what is in them."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def _commands(group, context):
    for name, command in group.commands.items():
        inner = _context(command, name, parent=context)
        yield f"### {inner.command_path}\n\n```text\n{_own(command.get_help(inner))}\n```\n"
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _own(text):
    """Leave out what every command has."""
    blocks = text.split("\n\n")
    return "\n\n".join(block for block in blocks if not block.startswith(SHARED)).rstrip()


def _shared(root):
    blocks = vaultr.get_help(root).split("\n\n")
    [block] = [block for block in blocks if block.startswith(SHARED)]
    lines = block.removeprefix(SHARED + "\n")
    said = "They may stand before the command or behind it."
    return f"## {SHARED.removesuffix(':')}\n\n{said}\n\n```text\n{lines}\n```\n"


def _table(title, head, lines):
    rows = "\n".join(f"| `{name}` | {text} |" for name, text in lines.items())
    return f"## {title}\n\n| {head} | means |\n| --- | --- |\n{rows}\n"
