"""The passwd command: another master password, and another account key where that is needed."""

from typing import TYPE_CHECKING, Any

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import Choices, command, pass_choices
from vaultr.client.cli.sdk_session import check_owner, closed
from vaultr.client.cli.step_up import with_factor
from vaultr.client.errors import UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.account.password_change import PasswordChanged
    from vaultr.client.vaultr_client import Vaultr

_QUESTION = (
    "May others know the old master password, or have had one of your devices in their hands?"
)


@command(
    "passwd",
    "vaultr passwd",
    "vaultr passwd --others-know --password-fd 3 --new-password-fd 4 3< old 4< new",
)
@click.option(
    "--others-know/--nobody-knows",
    default=None,
    help="Whether others may know the old one; else it is asked.",
)
@click.option(
    "--new-secret-key",
    is_flag=True,
    help="Draw another secret key, too: where a device or the emergency kit is lost.",
)
@click.option(
    "--new-password-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the new password from descriptor N.",
)
@pass_choices
def passwd(
    choices: Choices,
    others_know: bool | None,
    new_secret_key: bool,
    new_password_fd: int | None,
) -> None:
    """Change the master password.

    By itself this replaces the lock and not the key. Where others may know the old password, the
    account gets another key with every wrap under it, the recovery key ends, and all vaults get new
    keys. Either way all other sessions end: other devices follow by `vaultr login --changed`.
    """
    if new_password_fd is not None and new_password_fd in choices.secret_fds:
        raise UsageError("--new-password-fd must differ from the other descriptors.")
    with closed(choices) as vaultr:
        check_owner(choices, vaultr.email)
        vaultr.check_session()
        old = prompts.password_again(choices)
        vaultr.unlock(old)  # a wrong one is told before the new one is typed, twice
        if others_know is None:
            if not prompts.can_ask():
                raise UsageError("Say --others-know or --nobody-knows.")
            others_know = click.confirm(_QUESTION, default=None, err=True)
        new = prompts.new_password(new_password_fd, "--new-password-fd")

        def change(**factor: Any) -> "PasswordChanged":
            return vaultr.change_password(
                old, new, new_key=others_know, new_secret_key=new_secret_key, **factor
            )

        changed = with_factor(choices, change)
        _show(choices, changed)
        if changed.new_key:
            rotate_due(vaultr)


def _show(choices: Choices, changed: "PasswordChanged") -> None:
    # cryptography takes long to import; here it is loaded already.
    from vaultr.client.crypto.keys import secret_key_text  # noqa: PLC0415 - heavy, see above

    key = None if changed.secret_key is None else secret_key_text(changed.secret_key)
    if choices.json:
        answer = {"changed": True, "new_account_key": changed.new_key, "secret_key": key}
        output.as_json(answer)
        return
    output.say("The master password is changed. All other sessions have ended.")
    if key is not None:
        output.say("")
        output.say(f"New secret key: {key}")
        output.say("")
        output.say("Write it down now: it is shown this once. The old one is void.")
    if changed.new_key:
        output.say("The account has a new key. A recovery key from before is void.")
    output.say("Other devices: vaultr login --changed. A new emergency kit: vaultr kit")


def rotate_due(vaultr: "Vaultr") -> None:
    """Give the vaults new keys, after the account has got another one.

    That it is due is in the profile, whatever becomes of it here.
    """
    try:
        rotated = vaultr.rotate(restart=True)
    except VaultrError as error:
        error.add_note(
            "The password is changed, but not all vaults have new keys yet: vaultr rotate goes on."
        )
        raise
    output.tell(f"New keys: {len(rotated)} {'vault' if len(rotated) == 1 else 'vaults'}.")
