"""Commands for a lost master password: kit, recovery-key and recover."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.commands.passwd import rotate_all_vaults
from vaultr.client.cli.commands.read_inject import force_option
from vaultr.client.cli.email_tokens import recovery_token
from vaultr.client.cli.options import (
    GlobalOptions,
    Group,
    breach_file_option,
    command,
    pass_options,
)
from vaultr.client.cli.sdk_session import locked_sdk, unlocked_sdk
from vaultr.client.cli.step_up import step_up, with_second_factor
from vaultr.client.errors import TokenInvalid, UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.account.recovery import Cancelled, Recovery
    from vaultr.client.crypto.recovery_key import RecoveryKey
    from vaultr.client.vaultr_client import Vaultr

_DEFAULT_FILE = Path("vaultr-kit.html")


@command("kit", "vaultr kit", "vaultr kit /media/usb/kit.html")
@click.argument("file", type=click.Path(path_type=Path), default=_DEFAULT_FILE)
@force_option
@pass_options
def kit(options: GlobalOptions, file: Path, force: bool) -> None:
    """Write the emergency kit, a page to print.

    The kit contains the secret key, the account, the server and the KDF parameters. FILE (default:
    vaultr-kit.html) is readable only by you (0600). On a new device, paste the text of the kit
    instead of the secret key.
    """
    # Besides second factors, only this command needs segno.
    from vaultr.client.account.emergency_kit_page import page  # noqa: PLC0415 - late, see above
    from vaultr.client.storage.secret_files import save  # noqa: PLC0415 - late, see above

    with unlocked_sdk(options, without_server=True) as vaultr:
        content, address = vaultr.kit(), vaultr.email or ""
        save(file, page(content, address).encode(), force=force)
        vaultr.record_kit()
    if options.json:
        output.print_json({"file": str(file)})
    else:
        output.print_line(f"Saved: {output.printable(str(file))}")
        output.print_note("Print it, store it where only you have access, and delete the file.")


@click.group(
    "recovery-key",
    cls=Group,
    examples=("vaultr recovery-key create", "vaultr recovery-key remove"),
)
def recovery_key() -> None:
    """Create or remove the recovery key.

    With the recovery key and access to your email, you can replace a lost master password. A
    recovery takes 24 hours, in which you are notified and can cancel it. Without a recovery key,
    nobody can replace a lost master password.
    """


@command("create", "vaultr recovery-key create")
@pass_options
def create_key(options: GlobalOptions) -> None:
    """Create a recovery key and show it once.

    An earlier recovery key becomes invalid.
    """
    with unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        key = vaultr.create_recovery_key()
    if options.json:
        output.print_json({"recovery_key": key.text})
        return
    output.print_line(f"Recovery key: {key.text}")
    output.print_line("")
    output.print_line("Write it down now. It is shown only once. Store it apart from your devices:")
    output.print_line("somebody who has it and can read your email can take over the account, 24")
    output.print_line("hours after an email has warned you.")


@command("remove", "vaultr recovery-key remove")
@pass_options
def remove_key(options: GlobalOptions) -> None:
    """Remove the recovery key.

    After that, a lost master password cannot be replaced.
    """
    with unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        vaultr.remove_recovery_key()
    output.print_result(options.json, {"removed": True}, "The recovery key is removed.")


for each in (create_key, remove_key):
    recovery_key.add_command(each)


@command(
    "recover",
    "vaultr recover --email ann@example.org",
    "vaultr recover --email ann@example.org TOKEN",
    "vaultr recover --cancel",
)
@click.argument("token", required=False)
@click.option("--cancel", is_flag=True, help="Cancel the recovery and list what becomes invalid")
@click.option(
    "--anew", "again", is_flag=True, help="Request another email, even if a recovery is running"
)
@click.option(
    "--recovery-key-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the recovery key from file descriptor N",
)
@breach_file_option("Reject a master password that is in this local breach list")
@pass_options
def recover(
    options: GlobalOptions,
    token: str | None,
    cancel: bool,
    again: bool,
    recovery_key_fd: int | None,
    breach_file: Path | None,
) -> None:
    """Replace a lost master password.

    1. `vaultr recover` sends you an email with a token.

    2. `vaultr recover TOKEN` asks for the recovery key and starts a wait of 24 hours. The owner of
    the account is notified and can cancel it.

    3. `vaultr recover` then asks for the recovery key and a new master password, and logs in. The
    account gets a new secret key. This device remembers the token, so you can repeat an interrupted
    command.
    """
    token = None if token is None else recovery_token(token)
    with locked_sdk(options) as vaultr:
        running = None if again else vaultr.begun_recovery
        if token is None and running is not None and options.email in (None, running[0]):
            options.email, token = running
        if cancel:
            _cancel(options, token)
            return
        address = prompts.email(options, vaultr.email)
        if token is None:
            vaultr.ask_recovery(address)
            _print_email_sent(options, address)
            return
        if recovery_key_fd is None and (ready_at := _still_waits(vaultr, address, token)):
            _print_wait(options, ready_at)
            return
        vaultr.check_recovery(address)
        recovery = _start(vaultr, address, token, _read_recovery_key(recovery_key_fd))
        if recovery.handed is None:
            _print_wait(options, recovery.ready_at)
        else:
            _complete(options, vaultr, recovery, breach_file)


def _still_waits(vaultr: "Vaultr", address: str, token: str) -> datetime | None:
    """Return when the wait ends if it was started here; until then the recovery key is useless."""
    ready_at = vaultr.recovery_ready_at
    if ready_at is None or vaultr.begun_recovery != (address, token):
        return None
    return ready_at if ready_at > datetime.now(UTC) else None


def _start(vaultr: "Vaultr", address: str, token: str, key: "RecoveryKey") -> "Recovery":
    try:
        return vaultr.start_recovery(address, token, key)
    except TokenInvalid as error:
        error.add_note(
            "The token or the recovery key is wrong, or the recovery is over. To request another"
            " email: vaultr recover --anew"
        )
        raise


def _cancel(options: GlobalOptions, token: str | None) -> None:
    with (unlocked_sdk if token is None else locked_sdk)(options) as vaultr:
        try:
            ended = vaultr.cancel_recovery(token)
        except TokenInvalid as error:
            error.add_note(
                "Nothing was cancelled. Copy the whole link from the newest email, or run `vaultr"
                " recover --cancel` on a device that is logged in."
            )
            raise
    document = {
        "cancelled": True,
        "started": ended.started,
        "recovery_key_deleted": ended.key_deleted,
    }
    output.print_result(options.json, document, _cancelled_text(ended))


def _cancelled_text(ended: "Cancelled") -> str:
    if ended.started is None:
        return (
            "Cancelled: the emailed token no longer works. If a recovery had started with it, that"
            " recovery is cancelled too, and the recovery key is deleted. To see whether you have"
            " a recovery key, run `vaultr status` on a device that is logged in."
        )
    key = "Your recovery key stays valid."
    if ended.key_deleted:
        key = (
            "The recovery key that was used is deleted. Create another: vaultr recovery-key create"
        )
    if not ended.started:
        return f"The emailed token no longer works; no recovery had started. {key}"
    return f"The recovery that had started is cancelled. {key}"


def _read_recovery_key(number: int | None) -> "RecoveryKey":
    # cryptography is slow to import; here it is already loaded.
    from vaultr.client.crypto.recovery_key import RecoveryKey  # noqa: PLC0415 - heavy, see above

    def parse(text: str) -> RecoveryKey:
        try:
            return RecoveryKey.read(text)
        except ValueError as error:
            raise VaultrError(f"That is not a recovery key: {error}.") from None

    if number is not None:
        return parse(prompts.read_descriptor(number, "--recovery-key-fd"))
    if not prompts.can_ask():
        raise UsageError(
            "Cannot ask for the recovery key: there is no terminal. Use --recovery-key-fd."
        )
    return prompts.until_valid(
        lambda: parse(prompts.ask_hidden("Recovery key")), hint="Nothing was sent."
    )


def _print_email_sent(options: GlobalOptions, address: str) -> None:
    if options.json:
        output.print_json({"asked": True})
        return
    shown = output.printable(address)
    output.print_line(f"If {shown} has an account, an email with a token was sent. It is valid for")
    output.print_line("72 hours. Next, with the recovery key at hand:")
    output.print_line(f"  vaultr recover --email {shlex.quote(shown)} TOKEN")


def _print_wait(options: GlobalOptions, ready_at: datetime) -> None:
    if options.json:
        output.print_json({"ready": False, "ready_at": _time(ready_at)})
        return
    left = ready_at - datetime.now(UTC)
    hours, minutes = divmod(max(0, int(left.total_seconds())) // 60, 60)
    output.print_line(f"The wait ends at {_time(ready_at)}, in {hours} h {minutes} min.")
    output.print_line("The owner was notified by email. After the wait, run on this device:")
    output.print_line("  vaultr recover")


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _complete(
    options: GlobalOptions, vaultr: "Vaultr", recovery: "Recovery", breach_file: Path | None
) -> None:
    # cryptography is slow to import; here it is already loaded.
    from vaultr.client.crypto.keys import secret_key_text  # noqa: PLC0415 - heavy, see above

    password = prompts.new_password(
        options.password_fd, "--password-fd", recovery.email, breach_file=breach_file
    )
    secret_key = vaultr.complete_recovery(recovery, password)
    key = None if secret_key is None else secret_key_text(secret_key)
    if not options.json:
        output.print_line("The account has a new master password and a new account key.")
        output.print_line("All sessions have ended.")
        output.print_line("")
        output.print_line(f"Secret key: {key}")
        output.print_line("")
        output.print_line("Write it down now. It is shown only once. The recovery key is used up:")
        output.print_line("create another one with `vaultr recovery-key create`, and a new")
        output.print_line("emergency kit with `vaultr kit`.")

    def attempt(**factor: Any) -> None:
        vaultr.login(recovery.email, password, **factor)

    logged_in = _log_in(options, attempt)
    if options.json:
        output.print_json({"ready": True, "secret_key": key, "signed_in": logged_in})
    if logged_in:
        rotate_all_vaults(vaultr)


def _log_in(options: GlobalOptions, attempt: Any) -> bool:
    """Log in, and return whether it worked; a failure does not undo the recovery."""
    try:
        with_second_factor(options, attempt)
    except VaultrError as error:
        output.print_note(f"vaultr: {output.printable(str(error))}")
        output.print_note("The recovery is complete, but the login failed. Next: vaultr login")
        return False
    return True
