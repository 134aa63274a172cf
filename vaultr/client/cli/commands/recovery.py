"""Commands for the day when the master password is lost: kit, recovery-key and recover."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaultr.client.account.password_policy import check_password
from vaultr.client.cli import output, prompts
from vaultr.client.cli.commands.passwd import rotate_due
from vaultr.client.cli.commands.read_inject import force as force_option
from vaultr.client.cli.mail_tokens import token_of
from vaultr.client.cli.options import Choices, Group, command, pass_choices
from vaultr.client.cli.sdk_session import closed, opened
from vaultr.client.cli.step_up import proven, with_factor
from vaultr.client.errors import TokenInvalid, UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.account.recovery import Recovery
    from vaultr.client.crypto.recovery_key import RecoveryKey
    from vaultr.client.vaultr_client import Vaultr

_DEFAULT_FILE = Path("vaultr-kit.html")


@command("kit", "vaultr kit", "vaultr kit /media/usb/kit.html")
@click.argument("file", type=click.Path(path_type=Path), default=_DEFAULT_FILE)
@force_option
@pass_choices
def kit(choices: Choices, file: Path, force: bool) -> None:
    """Write the emergency kit: a page to print, with a code.

    It holds the secret key, the account, the server and the parameters, and is written for you
    alone (0600) into FILE, by default vaultr-kit.html here. On a new device its text is given in
    place of the secret key.
    """
    # segno is needed by nothing else at the command line but second factors.
    from vaultr.client.account.emergency_kit_page import page  # noqa: PLC0415 - late, see above
    from vaultr.client.storage.secret_files import save  # noqa: PLC0415 - late, see above

    with opened(choices, without_server=True) as vaultr:
        held, address = vaultr.kit(), vaultr.email or ""
    save(file, page(held, address).encode(), force=force)
    if choices.json:
        output.as_json({"file": str(file)})
    else:
        output.say(f"Written: {output.printable(str(file))}")
        output.tell("Print it, keep it where only you can reach it, and delete the file.")


@click.group(
    "recovery-key",
    cls=Group,
    examples=("vaultr recovery-key create", "vaultr recovery-key remove"),
)
def recovery_key() -> None:
    """Make or remove the recovery key.

    With it, and the mailbox of the account, a lost master password can be replaced: after 24 hours
    in which the owner is told and can stop it. Without it nobody can do that.
    """


@command("create", "vaultr recovery-key create")
@pass_choices
def create_key(choices: Choices) -> None:
    """Make a recovery key, and show it once; one from before is void then."""
    with opened(choices) as vaultr:
        proven(choices, vaultr)
        made = vaultr.create_recovery_key()
    if choices.json:
        output.as_json({"recovery_key": made.text})
        return
    output.say(f"Recovery key: {made.text}")
    output.say("")
    output.say("Write it down now: it is shown this once. Keep it apart from your devices: whoever")
    output.say("has it and your mailbox can take over the account, 24 hours after you were told.")


@command("remove", "vaultr recovery-key remove")
@pass_choices
def remove_key(choices: Choices) -> None:
    """Remove the recovery key: then a lost master password loses the vault."""
    with opened(choices) as vaultr:
        proven(choices, vaultr)
        vaultr.remove_recovery_key()
    output.result(choices.json, {"removed": True}, "The recovery key is removed.")


for each in (create_key, remove_key):
    recovery_key.add_command(each)


@command(
    "recover",
    "vaultr recover --email ann@example.org",
    "vaultr recover --email ann@example.org TOKEN",
    "vaultr recover --cancel",
)
@click.argument("token", required=False)
@click.option(
    "--cancel", is_flag=True, help="End a recovery; a recovery key that was given for it is void."
)
@click.option("--anew", is_flag=True, help="Ask for another mail, whatever was begun from here.")
@click.option(
    "--recovery-key-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the recovery key from descriptor N.",
)
@pass_choices
def recover(
    choices: Choices, token: str | None, cancel: bool, anew: bool, recovery_key_fd: int | None
) -> None:
    """Get back into an account whose master password is lost.

    First without TOKEN: a mail brings one. With it, and the recovery key, a wait of 24 hours
    begins, in which the owner is told. After that `vaultr recover`, which remembers the token, asks
    for a new master password and signs in; the account then has a new secret key. Ended in between,
    it goes on when it is called again.
    """
    token = None if token is None else token_of(token)
    with closed(choices) as vaultr:
        begun = None if anew else vaultr.begun_recovery
        if token is None and begun is not None and choices.email in (None, begun[0]):
            choices.email, token = begun
        if cancel:
            _cancel(choices, token)
            return
        address = prompts.email(choices, vaultr.email)
        if token is None:
            vaultr.ask_recovery(address)
            _show_mailed(choices, address)
            return
        started = _started(vaultr, address, token, _key(recovery_key_fd))
        if started.handed is None:
            _show_wait(choices, started)
        else:
            _complete(choices, vaultr, started)


def _started(vaultr: "Vaultr", address: str, token: str, key: "RecoveryKey") -> "Recovery":
    try:
        return vaultr.start_recovery(address, token, key)
    except TokenInvalid as error:
        error.add_note(
            "Token or recovery key is wrong, or it is over. Another mail: recover --anew"
        )
        raise


def _cancel(choices: Choices, token: str | None) -> None:
    with (opened if token is None else closed)(choices) as vaultr:
        vaultr.cancel_recovery(token)
    output.result(
        choices.json,
        {"cancelled": True},
        "The recovery has ended. A recovery key that was given for it is void.",
    )


def _key(number: int | None) -> "RecoveryKey":
    # cryptography takes long to import; here it is loaded already.
    from vaultr.client.crypto.recovery_key import RecoveryKey  # noqa: PLC0415 - heavy, see above

    if number is not None:
        text = prompts.read_descriptor(number, "--recovery-key-fd")
    elif prompts.can_ask():
        text = prompts.ask_hidden("Recovery key")
    else:
        raise UsageError("There is no terminal to ask on: use --recovery-key-fd.")
    try:
        return RecoveryKey.read(text)
    except ValueError as error:
        raise VaultrError(f"That is not a recovery key: {error}.") from None


def _show_mailed(choices: Choices, address: str) -> None:
    if choices.json:
        output.as_json({"asked": True})
        return
    output.say(f"If {output.printable(address)} has an account, a mail with a token is there now.")
    output.say("It is good for 72 hours. Next, with the recovery key at hand:")
    output.say(f"  vaultr recover --email {shlex.quote(output.printable(address))} TOKEN")


def _show_wait(choices: Choices, started: "Recovery") -> None:
    if choices.json:
        output.as_json({"ready": False, "ready_at": _time(started.ready_at)})
        return
    left = started.ready_at - datetime.now(UTC)
    hours, minutes = divmod(max(0, int(left.total_seconds())) // 60, 60)
    output.say(f"The wait ends at {_time(started.ready_at)}, in {hours} h {minutes} min.")
    output.say("The owner was told by mail. After it: vaultr recover, on this device")


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _complete(choices: Choices, vaultr: "Vaultr", started: "Recovery") -> None:
    # cryptography takes long to import; here it is loaded already.
    from vaultr.client.crypto.keys import secret_key_text  # noqa: PLC0415 - heavy, see above

    password = prompts.new_password(choices.password_fd, "--password-fd")
    check_password(password, started.email)
    drawn = vaultr.complete_recovery(started, password)
    key = None if drawn is None else secret_key_text(drawn)
    if not choices.json:
        output.say("The account has a new master password and a new key; all sessions have ended.")
        output.say("")
        output.say(f"Secret key: {key}")
        output.say("")
        output.say("Write it down now: it is shown this once. The recovery key is used up: make")
        output.say("another one by vaultr recovery-key create. A new emergency kit: vaultr kit")

    def sign_in(**factor: Any) -> None:
        vaultr.login(started.email, password, **factor)

    signed_in = _signed_in(choices, sign_in)
    if choices.json:
        output.as_json({"ready": True, "secret_key": key, "signed_in": signed_in})
    if signed_in:
        rotate_due(vaultr)


def _signed_in(choices: Choices, sign_in: Any) -> bool:
    """Sign in; that it fails takes nothing back of what was done, and of what must be shown."""
    try:
        with_factor(choices, sign_in)
    except VaultrError as error:
        output.tell(f"vaultr: {output.printable(str(error))}")
        output.tell("The recovery is done. Sign in: vaultr login")
        return False
    return True
