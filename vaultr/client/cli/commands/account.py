"""Commands that start and end access: signup, verify, login, unlock, lock and logout."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaultr.client.cli import output, prompts, sdk_session
from vaultr.client.cli.email_tokens import token_of
from vaultr.client.cli.options import GlobalOptions, breach_file_option, command, pass_options
from vaultr.client.cli.sdk_session import check_account, locked_sdk, unlocked_sdk
from vaultr.client.cli.step_up import step_up, with_second_factor
from vaultr.client.cli.unlock_options import idle_lifetime, lifetime_options
from vaultr.client.errors import CredentialsInvalid, TokenInvalid, UsageError

if TYPE_CHECKING:
    from vaultr.client.background.lifetime import Lifetime
    from vaultr.client.vaultr_client import Signup, Vaultr


_UNLOCKED_NOTE = "It is also unlocked, as after `vaultr unlock`. To lock it: vaultr lock"
_KIT_PROMPT = "Secret key, or the text of your emergency kit"
_NEW_KIT_PROMPT = "New secret key or emergency kit, if it was replaced (empty: no)"
_KEY_ADVICE = "Use --secret-key-fd N, or --no-secret-key if the account has none."
_RETRY = "Type the password again, or press Ctrl-C to check the secret key."
_LOGIN_ADVICE = (
    "Check the secret key too: upper and lower case matter, and failed attempts are limited. You"
    " can also paste the text of the emergency kit, which detects typos."
)


@command(
    "signup",
    "vaultr signup --url https://vault.example --email ann@example.org",
    "vaultr signup --json --email ann@example.org --password-fd 3 3< password",
)
@click.option(
    "--no-secret-key",
    is_flag=True,
    help="Create no secret key; a stolen database then allows guessing",
)
@breach_file_option("Reject a master password that is in this local breach list")
@pass_options
def signup(options: GlobalOptions, no_secret_key: bool, breach_file: Path | None) -> None:
    """Create an account and show its secret key once.

    The account is created when you confirm the email that the server sends: see `vaultr verify`.
    """
    with locked_sdk(options) as vaultr:
        vaultr.check_signup()
        address = prompts.email(options)
        _reach(options, vaultr, address)
        password = prompts.new_password(
            options.password_fd, "--password-fd", address, breach_file=breach_file
        )
        result = vaultr.signup(address, password, secret_key=not no_secret_key)
    if options.json:
        key = _secret_key_text(result)
        output.print_json(
            {"account_id": str(result.account_id), "secret_key": key, "code": result.code}
        )
    else:
        _print_signup(result, address)


def _reach(options: GlobalOptions, vaultr: "Vaultr", address: str) -> None:
    """Check that a Vaultr server responds, before the user types a password."""
    if options.password_fd is None and prompts.can_ask():
        vaultr.reach_server(address)


def _secret_key_text(signup: "Signup") -> str | None:
    # cryptography is slow to import; here it is already loaded.
    from vaultr.client.crypto.keys import secret_key_text  # noqa: PLC0415 - heavy, see above

    return None if signup.secret_key is None else secret_key_text(signup.secret_key)


def _print_signup(signup: "Signup", address: str) -> None:
    output.print_line(f"An email was sent to {output.printable(address)}.")
    output.print_line(f"Check that the email shows this code: {signup.code}")
    output.print_line("Then open its link, or run: vaultr verify TOKEN")
    key = _secret_key_text(signup)
    output.print_line("")
    if key is None:
        output.print_line("This account has no secret key. Only its master password protects it.")
    else:
        output.print_line(f"Secret key: {key}")
        output.print_line("")
        output.print_line("Write it down now. It is shown only once, and never sent to the server.")
        stored = output.printable(signup.place or "memory")
        output.print_line(f"This device stores it in {stored}.")
        output.print_line("Every new device asks for it at its first login. After you log in,")
        output.print_line("print your emergency kit (`vaultr kit`): its text detects typos.")
    lost = "it" if key is None else "the master password or the secret key"
    output.print_line(f"If you lose {lost} and have no recovery key,")
    output.print_line("nobody can open your vaults.")


@command("verify", "vaultr verify 8xJ…", no_args_is_help=True)
@click.argument("token")
@pass_options
def verify(options: GlobalOptions, token: str) -> None:
    """Confirm the email address of a signup.

    TOKEN is the token or the whole link in the email.
    """
    with locked_sdk(options) as vaultr:
        try:
            vaultr.verify(token_of(token))
        except TokenInvalid as error:
            error.add_note(
                "Copy the whole link from the newest email. To get another one: vaultr resend"
            )
            raise
        next_command = "login" if vaultr.email is None else "unlock"  # unlock logs in too
    output.print_result(
        options.json,
        {"verified": True},
        f"The email address is confirmed. Next: vaultr {next_command}",
    )


@command(
    "login",
    "vaultr login",
    "vaultr login --email ann@example.org --password-fd 3 --secret-key-fd 4 3< pw 4< key",
)
@click.option("--device-name", metavar="NAME", help="Name of this device in your sessions")
@click.option(
    "--changed",
    is_flag=True,
    help="Accept a password that was changed or recovered on another device",
)
@click.option("--no-secret-key", is_flag=True, help="The account has no secret key")
@pass_options
def login(
    options: GlobalOptions, device_name: str | None, changed: bool, no_secret_key: bool
) -> None:
    """Log in on this device.

    A device that is new to the account asks for the secret key, and sends nothing without it. You
    can paste the text of the emergency kit instead, which also names the server.

    If you type the password, the device is unlocked too, unless VAULTR_AGENT=off. The previous
    session of this device ends.
    """
    if no_secret_key and options.secret_key_fd is not None:
        raise UsageError("Use either --no-secret-key or --secret-key-fd, not both.")
    lifetime = idle_lifetime()
    with locked_sdk(options) as vaultr:
        credentials = {
            **_replaced_secret_key(options, changed=changed),
            "has_secret_key": not no_secret_key,
            "device_name": device_name,
            "changed": changed,
        }
        if "kit" not in credentials:  # a kit names the server
            vaultr.check_server()
        address = prompts.email(options, vaultr.email)
        if "kit" not in credentials:
            _reach(options, vaultr, address)
        _log_in(options, vaultr, address, credentials)
        # A person need not type the password again. A script did not ask for an agent.
        unlocked = options.password_fd is None and vaultr.keep(lifetime)
    if options.json:
        output.print_json({"email": address, "signed_in": True})
    else:
        output.print_line(f"This device is logged in as {output.printable(address)}.")
        if unlocked:
            output.print_line(_UNLOCKED_NOTE)
        elif vaultr.may_keep:
            output.print_line("Next: vaultr unlock")


def _replaced_secret_key(options: GlobalOptions, *, changed: bool) -> dict[str, Any]:
    """Return the secret key from its file descriptor; with ``--changed``, ask for a new one."""
    if options.secret_key_fd is not None or not changed or not prompts.can_ask():
        return {**prompts.secret_key(options)}
    return {**prompts.ask_secret_key(_NEW_KIT_PROMPT)}


def _log_in(
    options: GlobalOptions, vaultr: "Vaultr", address: str, credentials: dict[str, Any]
) -> None:
    """Log in, and ask for a secret key or second factor if the login needs one."""
    # This imports httpx2 and cryptography; here they are already loaded.
    from vaultr.client.account.credentials import SecretKeyNeeded  # noqa: PLC0415 - heavy, see above

    def attempt(**factor: Any) -> None:
        password = prompts.password(options)
        try:
            vaultr.login(address, password, **credentials, **factor)
        except SecretKeyNeeded as error:
            if not prompts.can_ask():
                error.add_note(_KEY_ADVICE)
                raise
            credentials.update(prompts.ask_secret_key(_KIT_PROMPT))
            vaultr.login(address, password, **credentials, **factor)

    def attempt_with_password(**factor: Any) -> None:
        if factor:  # the password was right
            attempt(**factor)
        else:
            _retry_rejected(options, attempt)

    try:
        with_second_factor(options, attempt_with_password)
    except CredentialsInvalid as error:
        if "secret_key" in credentials:
            error.add_note(_LOGIN_ADVICE)
        raise


def _retry_rejected(options: GlobalOptions, attempt: Callable[[], None]) -> None:
    """Log in; if the server rejects a typed password, ask again, up to three times."""
    if options.password_fd is not None or not prompts.can_ask():
        attempt()
        return

    def again() -> None:
        try:
            attempt()
        except CredentialsInvalid:
            options.password = None
            raise

    prompts.until_valid(
        again, hint=_RETRY, invalid=lambda error: isinstance(error, CredentialsInvalid)
    )


@command(
    "unlock",
    "vaultr unlock",
    "vaultr unlock --for 8h",
    "vaultr unlock --password-fd 3 3< password",
)
@lifetime_options
@pass_options
def unlock(options: GlobalOptions, lifetime: "Lifetime") -> None:
    """Unlock this device: keep the keys in memory.

    A background process, the agent, forgets the keys after `vaultr lock` or `vaultr logout`, after
    15 minutes without use (or VAULTR_IDLE), and when you close this terminal. With --for or
    --until-logout, it keeps them without use and after you close the terminal.
    """
    with locked_sdk(options) as vaultr:
        check_account(options, vaultr.email)
        prompts.password(options)
        sdk_session.unlock(options, vaultr, keep=True, lifetime=lifetime)
    output.print_result(options.json, {"unlocked": True}, "Unlocked.")


@command("lock", "vaultr lock")
@pass_options
def lock(options: GlobalOptions) -> None:
    """Lock this device: remove the keys from memory."""
    with locked_sdk(options) as vaultr:
        vaultr.lock()
    output.print_result(options.json, {"locked": True}, "Locked.")


@command("logout", "vaultr logout", "vaultr logout --all")
@click.option("--all", "everywhere", is_flag=True, help="End the sessions of all devices")
@pass_options
def logout(options: GlobalOptions, everywhere: bool) -> None:
    """End the session of this device and forget the keys."""
    # Ending the session needs the keys, because its tokens are sealed on this device.
    with unlocked_sdk(options, without_server=not everywhere, forget_first=True) as vaultr:
        if everywhere:
            step_up(options, vaultr)
            vaultr.logout_all()
        else:
            vaultr.logout()
    output.print_result(
        options.json,
        {"signed_out": True},
        "Logged out on all devices." if everywhere else "Logged out.",
    )
