"""The command `vaultr code`, which prints one-time codes."""

import time
from datetime import timedelta

import click

from vaultr.client.cli import output
from vaultr.client.cli.commands.copy_secret import copy_text
from vaultr.client.cli.completers import field_names, item_titles
from vaultr.client.cli.offline_options import copy_options, uses_copy
from vaultr.client.cli.options import GlobalOptions, command, pass_options, vault_option
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.errors import VaultrError
from vaultr.client.items.fields import FieldNotFound, value_of
from vaultr.client.items.otp import NoCode, Totp


@command("code", "vaultr code Mail", "vaultr code Mail --json", no_args_is_help=True)
@click.argument("item", metavar="ITEM", shell_complete=item_titles)
@click.option(
    "--field",
    default="totp",
    metavar="NAME",
    help="Field with the TOTP secret (default: totp)",
    shell_complete=field_names,
)
@click.option("--copy", is_flag=True, help="Copy the code to the clipboard; do not print it")
@copy_options
@vault_option()
@pass_options
def code(
    options: GlobalOptions,
    item: str,
    field: str,
    copy: bool,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Print the current one-time code of an item.

    ITEM is an id or a unique title. The field holds a base32 secret or an otpauth:// URI, as sites
    show it next to their QR code.
    """
    with unlocked_sdk(options) as vaultr:
        from_copy = uses_copy(vaultr, offline=offline, max_age=max_age)
        found = vaultr.item(item, vault=vault, offline=from_copy)
        try:
            secret = value_of(found, field)
        except FieldNotFound as error:
            error.add_note(f"To add a TOTP secret: vaultr edit ITEM --secret {field}")
            raise
    if not isinstance(secret, str):
        raise NoCode(f"The field {field} is not text, so it has no code.")
    totp = Totp.parse(secret)
    now = time.time()
    if now < 0:
        raise VaultrError("The clock of this device shows a time before 1970. Set it first.")
    seconds_left = totp.left(now)
    if copy:
        copy_text(options, totp.at(now), clear_after=None)
        return
    if options.json:
        output.print_json(
            {"code": totp.at(now), "seconds_left": seconds_left, "period": totp.period}
        )
        return
    output.print_line(totp.at(now))
    if output.is_terminal():
        output.print_note(
            f"Valid for {seconds_left} more second{'' if seconds_left == 1 else 's'}."
        )
