"""Commands for the email address and deletion of the account: email, account and resend."""

import unicodedata
from pathlib import Path

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.email_tokens import email_address, token_of
from vaultr.client.cli.options import GlobalOptions, Group, command, pass_options
from vaultr.client.cli.sdk_session import locked_sdk, unlocked_sdk
from vaultr.client.cli.step_up import step_up
from vaultr.client.errors import UsageError, VaultrError


@click.group(
    "email",
    cls=Group,
    examples=("vaultr email change new@example.org", "vaultr email confirm TOKEN"),
)
def email() -> None:
    """Change the email address of the account."""


@command("change", "vaultr email change new@example.org", no_args_is_help=True)
@click.argument("address")
@pass_options
def change(options: GlobalOptions, address: str) -> None:
    """Request a change of the email address.

    The server sends an email to the old address and to ADDRESS. The change takes effect when both
    are confirmed.
    """
    address = email_address(address)
    with unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        vaultr.change_email(address)
    if options.json:
        output.print_json({"asked": True})
    else:
        output.print_line("Emails were sent to both addresses. Confirm both: open their links, or")
        output.print_line("run for each: vaultr email confirm TOKEN")


@command("confirm", "vaultr email confirm 8xJ…", no_args_is_help=True)
@click.argument("token")
@pass_options
def confirm(options: GlobalOptions, token: str) -> None:
    """Confirm one of the two emails of a change.

    TOKEN is the token or the whole link in the email.
    """
    with locked_sdk(options) as vaultr:
        vaultr.confirm_email(token_of(token))
    output.print_result(
        options.json,
        {"confirmed": True},
        "Confirmed. The email address changes as soon as both emails are confirmed.",
    )


@command("undo", "vaultr email undo 8xJ…", no_args_is_help=True)
@click.argument("token")
@pass_options
def undo(options: GlobalOptions, token: str) -> None:
    """Restore the old email address within 7 days.

    TOKEN is the token or the whole link in the email to the old address. All sessions end, because
    one of them was used to change the address.
    """
    with locked_sdk(options) as vaultr:
        vaultr.undo_email(token_of(token))
    if options.json:
        output.print_json({"undone": True})
    else:
        output.print_line("The old email address is restored, and all sessions have ended.")
        output.print_line("Next: vaultr login. If somebody else had changed it, also run:")
        output.print_line("vaultr passwd --others-know")


for each in (change, confirm, undo):
    email.add_command(each)


@click.group("account", cls=Group, examples=("vaultr account delete",))
def account() -> None:
    """Delete the account."""


@command("delete", "vaultr account delete", "vaultr account delete --confirm ann@example.org")
@click.option(
    "--confirm",
    "confirmation",
    metavar="ADDRESS",
    help="Confirm with the email address, without a prompt",
)
@pass_options
def delete(options: GlobalOptions, confirmation: str | None) -> None:
    """Delete the account and all its vaults permanently.

    You type the email address to confirm. This cannot be undone. This device keeps its sealed copy,
    which you can read with --offline.
    """
    with unlocked_sdk(options) as vaultr:
        address = vaultr.email or ""
        if confirmation is None:
            if not prompts.can_ask():
                raise UsageError(
                    "Cannot ask for confirmation: there is no terminal. Use --confirm ADDRESS."
                )
            output.print_note(
                f"This permanently deletes the account {output.printable(address)} with all its"
                " vaults."
            )
            confirmation = click.prompt("Type its email address to confirm", err=True)
        if _normalized(str(confirmation)) != _normalized(address):
            raise VaultrError("That is not the email address of the account. Nothing was deleted.")
        step_up(options, vaultr)
        vaultr.delete_account()
        home = vaultr.home
    if options.json:
        output.print_json({"deleted": True})
    else:
        _print_deleted(home)


def _print_deleted(home: Path) -> None:
    folder = output.printable(str(home))
    output.print_line("The account is deleted. To read the copy on this device:")
    output.print_line("  vaultr list --offline")
    output.print_line(f"To use another account, set VAULTR_DIR, or move {folder} away.")


account.add_command(delete)


@command("resend", "vaultr resend")
@pass_options
def resend(options: GlobalOptions) -> None:
    """Send the confirmation email of a signup again.

    The previous email becomes invalid.
    """
    with locked_sdk(options) as vaultr:
        address = vaultr.resend()
    if options.json:
        output.print_json({"sent": True})
    else:
        output.print_line(
            f"If {output.printable(address)} still has an unconfirmed signup, an email was sent."
        )


def _normalized(address: str) -> str:
    return unicodedata.normalize("NFKC", address).strip().lower()
