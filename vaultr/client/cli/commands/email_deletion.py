"""Commands about the account as such: its mail address, its deletion, and a mail sent again."""

import unicodedata
from pathlib import Path

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.mail_tokens import mail_address, token_of
from vaultr.client.cli.options import Choices, Group, command, pass_choices
from vaultr.client.cli.sdk_session import closed, opened
from vaultr.client.cli.step_up import proven
from vaultr.client.errors import UsageError, VaultrError


@click.group(
    "email",
    cls=Group,
    examples=("vaultr email change new@example.org", "vaultr email confirm TOKEN"),
)
def email() -> None:
    """Change the mail address of the account."""


@command("change", "vaultr email change new@example.org", no_args_is_help=True)
@click.argument("address")
@pass_choices
def change(choices: Choices, address: str) -> None:
    """Ask for another ADDRESS.

    Both the old and the new one get a mail; the change is made when both are confirmed.
    """
    address = mail_address(address)
    with opened(choices) as vaultr:
        proven(choices, vaultr)
        vaultr.change_email(address)
    if choices.json:
        output.as_json({"asked": True})
    else:
        output.say("Mails are on their way to both addresses. Confirm both, by their links or by:")
        output.say("  vaultr email confirm TOKEN")


@command("confirm", "vaultr email confirm 8xJ…", no_args_is_help=True)
@click.argument("token")
@pass_choices
def confirm(choices: Choices, token: str) -> None:
    """Agree to a change of address by the TOKEN, or the link, of one of its two mails."""
    with closed(choices) as vaultr:
        vaultr.confirm_email(token_of(token))
    output.result(
        choices.json,
        {"confirmed": True},
        "Confirmed. The address changes as soon as both mails are; if this was the second, it has.",
    )


@command("undo", "vaultr email undo 8xJ…", no_args_is_help=True)
@click.argument("token")
@pass_choices
def undo(choices: Choices, token: str) -> None:
    """Take the old address back by the TOKEN, or the link, that was sent there, within 7 days.

    All sessions end: whoever changed the address was signed in.
    """
    with closed(choices) as vaultr:
        vaultr.undo_email(token_of(token))
    if choices.json:
        output.as_json({"undone": True})
    else:
        output.say("The old address is back, and all sessions have ended. Next: vaultr login,")
        output.say("and vaultr passwd, if it was not you who changed it.")


for each in (change, confirm, undo):
    email.add_command(each)


@click.group("account", cls=Group, examples=("vaultr account delete",))
def account() -> None:
    """Delete the account."""


@command("delete", "vaultr account delete", "vaultr account delete --confirm ann@example.org")
@click.option("--confirm", "named", metavar="ADDRESS", help="Do not ask: this account is meant.")
@pass_choices
def delete(choices: Choices, named: str | None) -> None:
    """Delete the account with all vaults, for ever.

    Its mail address has to be typed. Nothing can bring it back; what this device holds stays
    sealed in its folder, readable with `--offline`.
    """
    with opened(choices) as vaultr:
        address = vaultr.email or ""
        if named is None:
            if not prompts.can_ask():
                raise UsageError("Say --confirm ADDRESS, because there is no terminal to ask on.")
            output.tell(f"This deletes the account {output.printable(address)} for ever.")
            named = click.prompt("Type its mail address to go on", err=True)
        if _plain(str(named)) != _plain(address):
            raise VaultrError("That is not the address of this account. Nothing was changed.")
        proven(choices, vaultr)
        vaultr.delete_account()
        home = vaultr.home
    if choices.json:
        output.as_json({"deleted": True})
    else:
        _show_deleted(home)


def _show_deleted(home: Path) -> None:
    folder = output.printable(str(home))
    output.say("The account is deleted. What this device holds: vaultr list --offline")
    output.say(f"Another account: name another folder by VAULTR_DIR, or move {folder} away.")


account.add_command(delete)


@command("resend", "vaultr resend")
@pass_choices
def resend(choices: Choices) -> None:
    """Have the mail that confirms a signup sent again.

    The one from before is void then.
    """
    with closed(choices) as vaultr:
        address = vaultr.resend()
    if choices.json:
        output.as_json({"sent": True})
    else:
        output.say(
            f"If the signup of {output.printable(address)} still waits, a mail is there now."
        )


def _plain(address: str) -> str:
    return unicodedata.normalize("NFKC", address).strip().lower()
