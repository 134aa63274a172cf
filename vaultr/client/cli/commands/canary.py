"""The commands `vaultr canary`: plant secrets in a throw-away account, open and remove them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaultr.client.background import memory_protection
from vaultr.client.cli import output, prompts
from vaultr.client.cli.email_tokens import token_of
from vaultr.client.cli.options import GlobalOptions, Group, command, pass_options
from vaultr.client.errors import CredentialsInvalid, UsageError

if TYPE_CHECKING:
    from vaultr.client.canary.account import Server
    from vaultr.client.canary.canary_file import Canary


@click.group(
    "canary",
    cls=Group,
    examples=("vaultr canary plant --out canary.json", "vaultr canary open canary.json"),
)
def canary() -> None:
    """Plant test secrets that must not be readable on the server.

    A canary is a throw-away account whose values are all known. `flask canary search` then looks
    for these values in everything that the server stores. Your own account is not used.
    """


_file = click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


@command(
    "plant",
    "vaultr canary plant --email canary@example.org --out canary.json",
    "vaultr canary plant TOKEN --out canary.json",
)
@click.argument("token", required=False)
@click.option(
    "--out",
    "out_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    required=True,
    help="File of the canary, readable only by you (0600)",
)
@pass_options
def plant(options: GlobalOptions, token: str | None, out_file: Path) -> None:
    """Create a throw-away account and fill it with marker secrets.

    1. Without TOKEN, the command signs up, and the server sends an email.

    2. With TOKEN (the token or the whole link in that email), the command confirms the address, and
    plants a vault, items of every type, an import, and a machine that writes an item.

    FILE stores the password and all markers. If step 2 is interrupted, repeat it without TOKEN.
    """
    from vaultr.client.canary import canary_file  # noqa: PLC0415 - loads the ciphers

    memory_protection.guard()
    if not out_file.exists():
        if token is not None:
            raise UsageError("The file of --out does not exist. First sign up: omit TOKEN.")
        _sign_up(options, out_file)
        return
    found = canary_file.read_canary(out_file)
    if found.stage not in (canary_file.SIGNED_UP, canary_file.CONFIRMED):
        raise UsageError("This canary is planted already. Name a new file: --out FILE")
    _plant(options, found, token, out_file)


def _sign_up(options: GlobalOptions, out_file: Path) -> None:
    from vaultr.client.canary import account  # noqa: PLC0415 - loads the ciphers

    address = prompts.email(options)
    server = _server(options, options.server)
    made, code = account.sign_up(server, address)
    made.save(out_file, new=True)
    if options.json:
        output.print_json({"planted": False, "email": address, "code": code})
        return
    output.print_line(f"An email was sent to {output.printable(address)}.")
    output.print_line(f"Check that the email shows this code: {code}")
    output.print_line("Next: vaultr canary plant TOKEN --out FILE")


def _plant(options: GlobalOptions, found: "Canary", token: str | None, out_file: Path) -> None:
    from vaultr.client.canary import account, canary_file, content  # noqa: PLC0415 - loads the ciphers
    from vaultr.client.imports import dotenv  # noqa: PLC0415 - only this command needs it

    server = _server(options, found.url)
    if token is not None and found.stage == canary_file.SIGNED_UP:
        found = account.confirm(server, found, token_of(token))
        found.save(out_file)  # the token works once: a repeated command must not need it
    new = content.new_content()
    imported = dotenv.read(new.dotenv, title=new.title)
    try:
        planted = account.plant(server, found, new, imported)
    except CredentialsInvalid:
        if found.stage != canary_file.SIGNED_UP:
            raise
        raise UsageError(
            "The email address of this canary is not confirmed. Run: vaultr canary plant TOKEN"
            " --out FILE"
        ) from None
    planted.save(out_file)
    count, machine = len(planted.markers), planted.machine_token is not None
    if options.json:
        output.print_json({"planted": True, "markers": count, "machine": machine})
        return
    output.print_line(f"Planted {count} markers.")
    if not machine:
        output.print_note("The server does not support machines, so none was added.")
    output.print_line("Next, on the server: flask canary search FILE")


@command("open", "vaultr canary open canary.json", no_args_is_help=True)
@_file
@pass_options
def open_canary(options: GlobalOptions, file: Path) -> None:
    """Check that every planted marker can still be read.

    Logs in as the canary on a new device, then as its machine, and fails if a marker is missing.
    """
    from vaultr.client.canary import account, canary_file  # noqa: PLC0415 - loads the ciphers

    memory_protection.guard()
    found = canary_file.read_canary(file)
    opened = account.open_markers(_server(options, found.url), found)
    output.print_result(
        options.json,
        {"opened": len(opened), "machine": found.machine_token is not None},
        f"All {len(opened)} markers can be read.",
    )


@command("remove", "vaultr canary remove canary.json", no_args_is_help=True)
@_file
@pass_options
def remove(options: GlobalOptions, file: Path) -> None:
    """Delete the canary's account with everything in it.

    FILE is kept, because older backups still contain the account. Delete it when you no longer need
    to search them.
    """
    from vaultr.client.canary import account, canary_file  # noqa: PLC0415 - loads the ciphers

    memory_protection.guard()
    found = canary_file.read_canary(file)
    account.remove(_server(options, found.url), found).save(file)
    output.print_result(options.json, {"removed": True}, "The account of the canary is deleted.")


for each in (plant, open_canary, remove):
    canary.add_command(each)


def _server(options: GlobalOptions, url: str | None) -> "Server":
    """Return the canary's server.

    :raises UsageError: no server is named.
    """
    from vaultr.client.canary.account import Server  # noqa: PLC0415 - loads the ciphers

    if url is None:
        raise UsageError("No server is set: use --url https://vault.example or VAULTR_URL.")
    more: dict[str, Any] = {"ca_file": options.trusted_ca_file}
    return Server(url, more)
