"""The copy command, and what other commands need to put an answer on the clipboard."""

import base64
import os
from datetime import timedelta
from typing import Final

import click

from vaultr.client.cli import output
from vaultr.client.cli.commands.read_inject import resolver
from vaultr.client.cli.completers import field_names, item_titles
from vaultr.client.cli.offline_options import Duration, copy_options, from_copy
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items.fields import text_of, value_of
from vaultr.client.items.references import Reference, is_reference

_DEFAULT: Final = timedelta(seconds=30)
_LONGEST: Final = timedelta(hours=1)
# xterm takes about 100 kB of OSC 52, others less.
_OSC_BYTES: Final = 64 * 1024

clear_after = click.option(
    "--clear-after",
    type=Duration(),
    metavar="TIME",
    help="When the clipboard is cleared, as 10s or 2m; else after 30s.",
)


@command(
    "copy",
    "vaultr copy Mail",
    "vaultr copy Mail --field username --clear-after 2m",
    "vaultr copy 'vaultr://Personal/Mail/totp?as=code'",
    no_args_is_help=True,
)
@click.argument("item", metavar="ITEM", shell_complete=item_titles)
@click.option(
    "--field",
    metavar="NAME",
    help="The field, as show --field takes it; else password.",
    shell_complete=field_names,
)
@clear_after
@click.option(
    "--osc52",
    is_flag=True,
    help="Hand it to the terminal (OSC 52), as over ssh; that clipboard is not cleared.",
)
@copy_options
@vault_option()
@pass_choices
def copy(
    choices: Choices,
    item: str,
    field: str | None,
    clear_after: timedelta | None,
    osc52: bool,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Put a secret on the clipboard for 30 seconds.

    ITEM is an id, a title that only one item has, or a reference to a field. It is cleared only if
    it is still what was copied. wl-copy, xclip, xsel or pbcopy must be there.
    """
    if is_reference(item) and (field is not None or vault is not None):
        raise UsageError("A reference names its vault and field itself.")
    with opened(choices) as vaultr:
        if is_reference(item):
            reads = resolver(vaultr, offline=offline, max_age=max_age)
            text = reads.value(Reference.parse(item))
        else:
            copy = from_copy(vaultr, offline=offline, max_age=max_age)
            found = vaultr.item(item, vault=vault, offline=copy)
            text = text_of(value_of(found, field or "password"))
    copied(choices, text, clear_after=clear_after, osc52=osc52)


def copied(
    choices: Choices, text: str, *, clear_after: timedelta | None, osc52: bool = False
) -> None:
    """Put a text on the clipboard, and say for how long.

    :raises UsageError: the time is none, or too long.
    :raises VaultrError: there is no clipboard, or nothing to put there.
    """
    if not text:
        raise VaultrError("The field is empty: nothing was copied.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise VaultrError("The field holds half a character: nothing was copied.") from None
    after = _DEFAULT if clear_after is None else clear_after
    if not timedelta(0) < after <= _LONGEST or (osc52 and clear_after is not None):
        raise UsageError(
            "--osc52 cannot clear, so it goes without --clear-after."
            if osc52
            else "--clear-after is from 1s to 60m."
        )
    seconds = after.total_seconds()
    if osc52:
        _to_terminal(text)
    else:
        # Only this command starts other programs.
        from vaultr.client.background import clipboard  # noqa: PLC0415 - seldom needed

        clipboard.copy(clipboard.Clipboard.find(os.environ), text, seconds=seconds)
    if choices.json:
        output.as_json({"copied": True, "clear_after_seconds": None if osc52 else seconds})
    elif osc52:
        output.tell("Copied by the terminal. It is not cleared: copy something else afterwards.")
    else:
        output.tell(f"Copied. The clipboard is cleared after {seconds:g} seconds.")


def _to_terminal(text: str) -> None:
    data = base64.b64encode(text.encode())
    if len(data) > _OSC_BYTES:
        raise VaultrError("That is more than terminals take by OSC 52: nothing was copied.")
    try:
        with open("/dev/tty", "wb", buffering=0) as terminal:
            terminal.write(b"\x1b]52;c;" + data + b"\x07")
    except OSError:
        raise VaultrError("There is no terminal to hand it to.") from None
