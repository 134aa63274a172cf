"""The command `vaultr copy`, and copying to the clipboard for other commands."""

import base64
import os
from datetime import timedelta
from typing import Final

import click

from vaultr.client.cli import output
from vaultr.client.cli.commands.read_inject import open_resolver
from vaultr.client.cli.completers import field_names, item_titles
from vaultr.client.cli.offline_options import Duration, copy_options, uses_copy
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items.fields import text_of, value_of
from vaultr.client.items.references import Reference, is_reference

_DEFAULT_CLEAR_AFTER: Final = timedelta(seconds=30)
_MAX_CLEAR_AFTER: Final = timedelta(hours=1)
# xterm accepts about 100 kB of OSC 52, other terminals less.
_MAX_OSC_BYTES: Final = 64 * 1024

clear_after_option = click.option(
    "--clear-after",
    type=Duration(),
    metavar="TIME",
    help="When to clear the clipboard, such as 10s or 2m (default: 30s)",
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
    help="Field to copy (default: password)",
    shell_complete=field_names,
)
@clear_after_option
@click.option(
    "--osc52",
    is_flag=True,
    help="Copy through the terminal (OSC 52), for ssh; never cleared",
)
@copy_options
@vault_option()
@pass_options
def copy(
    options: GlobalOptions,
    item: str,
    field: str | None,
    clear_after: timedelta | None,
    osc52: bool,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Copy a secret to the clipboard for 30 seconds.

    ITEM is an id, a unique title, or a reference to a field. The clipboard is cleared only if it
    still holds the secret. Needs wl-copy, xclip, xsel or pbcopy.
    """
    if is_reference(item) and (field is not None or vault is not None):
        raise UsageError("A reference names vault and field. Do not add --vault or --field.")
    with unlocked_sdk(options) as vaultr:
        if is_reference(item):
            resolver = open_resolver(vaultr, offline=offline, max_age=max_age)
            text = resolver.value(Reference.parse(item))
        else:
            from_copy = uses_copy(vaultr, offline=offline, max_age=max_age)
            found = vaultr.item(item, vault=vault, offline=from_copy)
            text = text_of(value_of(found, field or "password"))
    copy_text(options, text, clear_after=clear_after, osc52=osc52)


def copy_text(
    options: GlobalOptions, text: str, *, clear_after: timedelta | None, osc52: bool = False
) -> None:
    """Copy a text to the clipboard, and print when it is cleared.

    :raises UsageError: the time is zero or too long.
    :raises VaultrError: no clipboard is available, or the text cannot be copied.
    """
    if not text:
        raise VaultrError("The field is empty. Nothing was copied.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise VaultrError("The field is not valid Unicode. Nothing was copied.") from None
    after = _DEFAULT_CLEAR_AFTER if clear_after is None else clear_after
    if osc52 and clear_after is not None:
        raise UsageError(
            "--osc52 cannot clear the clipboard. Do not combine it with --clear-after."
        )
    if not timedelta(0) < after <= _MAX_CLEAR_AFTER:
        raise UsageError("--clear-after must be from 1s to 60m.")
    seconds = after.total_seconds()
    if osc52:
        _copy_through_terminal(text)
    else:
        # Only this command starts other programs.
        from vaultr.client.background import clipboard  # noqa: PLC0415 - seldom needed

        clipboard.copy(clipboard.Clipboard.find(os.environ), text, seconds=seconds)
    if options.json:
        output.print_json({"copied": True, "clear_after_seconds": None if osc52 else seconds})
    elif osc52:
        output.print_note("Copied through the terminal. Copy something else later to overwrite it.")
    else:
        output.print_note(f"Copied. The clipboard is cleared after {seconds:g} seconds.")


def _copy_through_terminal(text: str) -> None:
    data = base64.b64encode(text.encode())
    if len(data) > _MAX_OSC_BYTES:
        raise VaultrError("The value is too long for OSC 52. Nothing was copied.")
    try:
        with open("/dev/tty", "wb", buffering=0) as terminal:
            terminal.write(b"\x1b]52;c;" + data + b"\x07")
    except OSError:
        raise VaultrError(
            "--osc52 needs a terminal. Run it in one, or use another clipboard."
        ) from None
