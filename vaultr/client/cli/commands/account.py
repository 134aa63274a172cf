"""Commands about the account and this device: signup, verify, login, unlock, lock, logout."""

from typing import TYPE_CHECKING, Any

import click

from vaultr.client.account.password_policy import check_password
from vaultr.client.cli import output, prompts
from vaultr.client.cli.mail_tokens import token_of
from vaultr.client.cli.options import Choices, command, pass_choices
from vaultr.client.cli.sdk_session import check_owner, closed, opened
from vaultr.client.cli.step_up import proven, with_factor
from vaultr.client.errors import CredentialsInvalid, UsageError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Signup, Vaultr


_WHILE_UNLOCKED = (
    "It is unlocked, too, as by: vaultr unlock. The keys are forgotten by: vaultr lock"
)
_WANTED = "secret key, or the text of your emergency kit"
_COMPARE = (
    "Compare the secret key as well: upper and lower case count, and each wrong try is counted."
    " The text of the emergency kit can be given in its place, and tells when it was misread."
)


@command(
    "signup",
    "vaultr signup --url https://vault.example --email ann@example.org",
    "vaultr signup --json --email ann@example.org --password-fd 3 3< password",
)
@click.option(
    "--no-secret-key",
    is_flag=True,
    help="Do without a secret key. Then a stolen database can be tried with guessed passwords.",
)
@pass_choices
def signup(choices: Choices, no_secret_key: bool) -> None:
    """Make an account and show its secret key, once.

    The account begins to exist when the mail that the server sends is confirmed: see `verify`.
    """
    with closed(choices) as vaultr:
        vaultr.check_signup()
        address = prompts.email(choices)
        password = prompts.new_password(choices.password_fd, "--password-fd")
        check_password(password, address)
        made = vaultr.signup(address, password, secret_key=not no_secret_key)
    if choices.json:
        key = _secret_key_text(made)
        output.as_json({"account_id": str(made.account_id), "secret_key": key, "code": made.code})
    else:
        _show_signup(made, address)


def _secret_key_text(made: "Signup") -> str | None:
    # cryptography takes long to import; here it is loaded already.
    from vaultr.client.crypto.keys import secret_key_text  # noqa: PLC0415 - heavy, see above

    return None if made.secret_key is None else secret_key_text(made.secret_key)


def _show_signup(made: "Signup", address: str) -> None:
    output.say(f"A mail was sent to {output.printable(address)}. Its code must be: {made.code}")
    output.say("Confirm only that one, by its link or by: vaultr verify TOKEN")
    key = _secret_key_text(made)
    output.say("")
    if key is None:
        output.say("This account has no secret key: its master password alone protects it.")
    else:
        output.say(f"Secret key: {key}")
        output.say("")
        output.say("Write it down now: it is shown this once, and never sent to the server.")
        output.say(f"This device keeps it in {output.printable(made.place or 'its memory')}.")
        output.say("Every other device asks for it at its first login. Once you have signed in,")
        output.say("vaultr kit writes a page to print, whose text tells when it was misread.")
    output.say("Whoever loses the master password or the secret key loses what is in the vault.")


@command("verify", "vaultr verify 8xJ…", no_args_is_help=True)
@click.argument("token")
@pass_choices
def verify(choices: Choices, token: str) -> None:
    """Confirm the mail address by the TOKEN or the link in its mail."""
    with closed(choices) as vaultr:
        vaultr.verify(token_of(token))
        following = "login" if vaultr.email is None else "unlock"  # which signs in, too
    output.result(
        choices.json, {"verified": True}, f"The address is confirmed. Next: vaultr {following}"
    )


@command(
    "login",
    "vaultr login",
    "vaultr login --email ann@example.org --password-fd 3 --secret-key-fd 4 3< pw 4< key",
)
@click.option("--device-name", metavar="NAME", help="How this device is called in your sessions.")
@click.option(
    "--changed",
    is_flag=True,
    help="Take changed parameters: the master password was changed, or recovered, elsewhere.",
)
@click.option("--no-secret-key", is_flag=True, help="The account was made without a secret key.")
@pass_choices
def login(choices: Choices, device_name: str | None, changed: bool, no_secret_key: bool) -> None:
    """Sign in on this device.

    On a device where the account is new the secret key is asked for, and nothing is sent without
    it. The text of the emergency kit can be given in its place; it names the server, too. If the
    password is typed, the keys are kept in memory as by unlock, unless VAULTR_AGENT=off. The
    session that this device had before ends.
    """
    if no_secret_key and choices.secret_key_fd is not None:
        raise UsageError("--no-secret-key and --secret-key-fd contradict each other.")
    with closed(choices) as vaultr:
        said = {
            **_replaced_key(choices, changed=changed),
            "has_secret_key": not no_secret_key,
            "device_name": device_name,
            "changed": changed,
        }
        if "kit" not in said:  # which names the server
            vaultr.check_server()
        address = prompts.email(choices, vaultr.email)
        _sign_in(choices, vaultr, address, said)
        # Who typed the password need not do so again; a script has not asked for a process.
        kept = choices.password_fd is None and vaultr.keep()
    if choices.json:
        output.as_json({"email": address, "signed_in": True})
    else:
        output.say(f"This device is signed in as {output.printable(address)}.")
        if kept:
            output.say(_WHILE_UNLOCKED)
        elif vaultr.may_keep:
            output.say("Next: vaultr unlock")


def _replaced_key(choices: Choices, *, changed: bool) -> dict[str, Any]:
    """Get the secret key that was given; where the password was changed it may be another one."""
    if choices.secret_key_fd is not None or not changed or not prompts.can_ask():
        return {**prompts.secret_key(choices)}
    return {**prompts.asked_secret_key(f"New {_WANTED}, if it was replaced (empty: no)")}


def _sign_in(choices: Choices, vaultr: "Vaultr", address: str, said: dict[str, Any]) -> None:
    """Sign in; what turns out to be needed is asked for, where somebody is there."""
    # httpx2 and cryptography come with it; here they are loaded already.
    from vaultr.client.account.open_account import SecretKeyNeeded  # noqa: PLC0415 - heavy, see above

    password = prompts.password(choices)

    def signed_in(**factor: Any) -> None:
        try:
            vaultr.login(address, password, **said, **factor)
        except SecretKeyNeeded:
            if not prompts.can_ask():
                raise
            said.update(prompts.asked_secret_key(_WANTED.capitalize()))
            vaultr.login(address, password, **said, **factor)

    try:
        with_factor(choices, signed_in)
    except CredentialsInvalid as error:
        if "secret_key" in said:
            error.add_note(_COMPARE)
        raise


@command("unlock", "vaultr unlock", "vaultr unlock --password-fd 3 3< password")
@pass_choices
def unlock(choices: Choices) -> None:
    """Keep the keys in memory for the next commands.

    They are forgotten by lock, by logout, after 15 idle minutes, and when this terminal is closed.
    """
    with closed(choices) as vaultr:
        check_owner(choices, vaultr.email)
        vaultr.unlock(prompts.password(choices), keep=True)
    output.result(choices.json, {"unlocked": True}, "Unlocked.")


@command("lock", "vaultr lock")
@pass_choices
def lock(choices: Choices) -> None:
    """Forget the keys."""
    with closed(choices) as vaultr:
        vaultr.lock()
    output.result(choices.json, {"locked": True}, "Locked.")


@command("logout", "vaultr logout", "vaultr logout --all")
@click.option("--all", "everywhere", is_flag=True, help="End all sessions, on all devices.")
@pass_choices
def logout(choices: Choices, everywhere: bool) -> None:
    """End the session of this device and forget the keys."""
    # The session's tokens lie sealed here, so that ending it needs the keys.
    with opened(choices, without_server=not everywhere, forget_first=True) as vaultr:
        if everywhere:
            proven(choices, vaultr)
            vaultr.logout_all()
        else:
            vaultr.logout()
    output.result(
        choices.json,
        {"signed_out": True},
        "Signed out everywhere." if everywhere else "Signed out.",
    )
