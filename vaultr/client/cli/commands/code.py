"""The code command: one-time codes from the secret that a login keeps."""

import time
from datetime import timedelta

import click

from vaultr.client.cli import output
from vaultr.client.cli.commands.copy_secret import copied
from vaultr.client.cli.completers import field_names, item_titles
from vaultr.client.cli.offline_options import copy_options, from_copy
from vaultr.client.cli.options import Choices, command, pass_choices, vault_option
from vaultr.client.cli.sdk_session import opened
from vaultr.client.errors import VaultrError
from vaultr.client.items.fields import value_of
from vaultr.client.items.otp import NoCode, Totp


@command("code", "vaultr code Mail", "vaultr code Mail --json", no_args_is_help=True)
@click.argument("item", metavar="ITEM", shell_complete=item_titles)
@click.option(
    "--field",
    default="totp",
    metavar="NAME",
    help="The field that holds its secret, else totp.",
    shell_complete=field_names,
)
@click.option("--copy", is_flag=True, help="Put it on the clipboard, and do not print it.")
@copy_options
@vault_option()
@pass_choices
def code(
    choices: Choices,
    item: str,
    field: str,
    copy: bool,
    offline: bool,
    max_age: timedelta | None,
    vault: str | None,
) -> None:
    """Print the one-time code of an item at this moment.

    ITEM is an id, or a title that only one item has. What it holds may be a base32 secret or an
    otpauth address, as sites show them beside their QR code.
    """
    with opened(choices) as vaultr:
        kept = from_copy(vaultr, offline=offline, max_age=max_age)
        found = vaultr.item(item, vault=vault, offline=kept)
    secret = value_of(found, field)
    if not isinstance(secret, str):
        raise NoCode(f"The field {field} holds no text.")
    totp = Totp.parse(secret)
    now = time.time()
    if now < 0:
        raise VaultrError("The clock of this machine is before 1970, so there is no code.")
    left = totp.left(now)
    if copy:
        copied(choices, totp.at(now), clear_after=None)
        return
    if choices.json:
        output.as_json({"code": totp.at(now), "seconds_left": left, "period": totp.period})
        return
    output.say(totp.at(now))
    if output.is_terminal():
        output.tell(f"It holds for {left} more second{'' if left == 1 else 's'}.")
