"""Generate docs/cli.md from the commands."""

from pathlib import Path

import click

from vaultr.client.cli.exit_codes import ENVIRONMENT, EXIT_CODES
from vaultr.client.cli.main import vaultr
from vaultr.client.cli.options import GlobalOptions

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
COLUMNS = 100
SHARED = "Global options:"

OPENING = """\
# The `vaultr` command

This page is generated from the help of the commands, and a test compares both. To generate it
again: `pytest --write-docs tests/client/test_cli_page.py`.

Commands print their results to standard output, and everything else to standard error. No command
takes a secret as an argument. Instead, it asks on the terminal and hides what you type, or reads a
file descriptor (`--password-fd 3 3< file`). `list` and `show` print secrets only if you ask for
them (`--reveal`, `--field password`). For a session on a terminal, see
[terminal-session.md](terminal-session.md).

With `--json`, an error is printed to standard error as one line of JSON: `{"error": {"message": …,
"advice": …, "slug": …, "exit_code": …}}`, where `advice` and `slug` (the problem that the server
reported) are optional.

## References

A reference, `vaultr://VAULT/ITEM/FIELD`, names one value. You can use references in `vaultr read`
and `vaultr copy`, in the templates of `vaultr inject`, as values in a file for
`vaultr run --env-file`, and as values of variables that `vaultr run` inherits.

VAULT and ITEM are ids, or a name and a title that are unique. FIELD is a name that `show --field`
accepts. Vaultr first looks for this exact name. If it finds nothing, it ignores upper and lower
case, and the command fails if several names match. Commands that remove or restore items (`rm`,
`move`, `restore`) need the exact title. In names, write `%2F` for `/`, `%3F` for `?` and `%25` for
`%`. Append `?as=code` to a reference to get the current one-time code of a TOTP secret.
`vaultr://VAULT/SET` names an environment set.

## Without the server

`--offline` reads the copy on this device, and prints the age of the copy to standard error. With
`--max-age 12h`, a copy that is at most 12 hours old is read without contacting the server, and an
older copy is updated first. With both options, an older copy is an error (exit code 1).
"""


def page() -> str:
    """Return the whole page."""
    root = _context(vaultr, "vaultr", obj=GlobalOptions())
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
    """Yield all commands with their names, each group before its commands."""
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
    """Return a help text without the global options."""
    blocks = text.split("\n\n")
    return "\n\n".join(block for block in blocks if not block.startswith(SHARED)).rstrip()


def _shared(root):
    blocks = vaultr.get_help(root).split("\n\n")
    [block] = [block for block in blocks if block.startswith(SHARED)]
    lines = block.removeprefix(SHARED + "\n")
    text = "Place them before or after the command."
    return f"## {SHARED.removesuffix(':')}\n\n{text}\n\n```text\n{lines}\n```\n"


def _table(title, head, lines):
    rows = "\n".join(f"| `{name}` | {text} |" for name, text in lines.items())
    return f"## {title}\n\n| {head} | means |\n| --- | --- |\n{rows}\n"
