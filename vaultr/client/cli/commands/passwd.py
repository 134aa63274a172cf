"""The command `vaultr passwd`, which changes the master password."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaultr.client.cli import output, prompts, sdk_session
from vaultr.client.cli.options import GlobalOptions, breach_file_option, command, pass_options
from vaultr.client.cli.sdk_session import check_account, locked_sdk
from vaultr.client.cli.step_up import with_second_factor
from vaultr.client.errors import UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.account.password_change import PasswordChanged
    from vaultr.client.vaultr_client import Vaultr

_NEXT = "On your other devices: vaultr login --changed. For a new emergency kit: vaultr kit"
_QUESTION = "Could anyone else know the old master password, or have had access to a device?"


@command(
    "passwd",
    "vaultr passwd",
    "vaultr passwd --others-know --password-fd 3 --new-password-fd 4 3< old 4< new",
)
@click.option(
    "--others-know/--nobody-knows",
    default=None,
    help="Whether others may know the old password (default: ask)",
)
@click.option(
    "--new-secret-key",
    is_flag=True,
    help="Replace the secret key too, after losing a device or kit",
)
@click.option("--kdf-only", is_flag=True, help="Keep the password, but make it harder to guess")
@click.option(
    "--new-password-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the new password from file descriptor N",
)
@breach_file_option("Reject a master password that is in this local breach list")
@pass_options
def passwd(
    options: GlobalOptions,
    others_know: bool | None,
    new_secret_key: bool,
    kdf_only: bool,
    new_password_fd: int | None,
    breach_file: Path | None,
) -> None:
    """Change the master password.

    If others may know the old password, the account also gets a new key, the recovery key becomes
    invalid, and the keys of all vaults are rotated. Otherwise the account keeps its key, sealed
    under the new password. In both cases all other sessions end; log in on your other devices with
    `vaultr login --changed`.

    --kdf-only keeps the password and raises its KDF cost, which is the time and memory that each
    guess takes, to today's default.
    """
    if kdf_only:
        _check_only_option(others_know, new_secret_key or None, new_password_fd, breach_file)
        _raise_kdf_cost(options)
        return
    if new_password_fd is not None and new_password_fd in options.secret_fds:
        raise UsageError("--new-password-fd must differ from the other file descriptors.")
    if breach_file is not None:
        prompts.check_breach_file(breach_file)
    with locked_sdk(options) as vaultr:
        check_account(options, vaultr.email)
        vaultr.check_session()
        prompts.password_again(options)
        # report a wrong password before the user types the new one
        sdk_session.unlock(options, vaultr)
        old = prompts.password(options)
        if others_know is None:
            others_know = _asked_whether_others_know()
        new = prompts.new_password(
            new_password_fd, "--new-password-fd", vaultr.email or "", breach_file=breach_file
        )

        def change(**factor: Any) -> "PasswordChanged":
            return vaultr.change_password(
                old, new, new_key=others_know, new_secret_key=new_secret_key, **factor
            )

        result = with_second_factor(options, change)
        _print_change(options, result)
        if result.new_key:
            rotate_all_vaults(vaultr)


def _check_only_option(*others: object) -> None:
    if any(each is not None for each in others):
        raise UsageError(
            "--kdf-only keeps the password and all keys. Do not combine it with other options of"
            " passwd."
        )


def _asked_whether_others_know() -> bool:
    if not prompts.can_ask():
        raise UsageError(
            "Cannot ask whether others may know the old password: there is no terminal. Use"
            " --others-know or --nobody-knows."
        )
    return click.confirm(_QUESTION, default=None, err=True)


def _raise_kdf_cost(options: GlobalOptions) -> None:
    with locked_sdk(options) as vaultr:
        check_account(options, vaultr.email)
        if not vaultr.kdf_is_low:
            output.print_result(
                options.json,
                {"changed": False},
                "Nothing was changed: the KDF cost is at least today's default.",
            )
            return
        vaultr.check_session()
        prompts.password_again(options)
        sdk_session.unlock(options, vaultr)
        password = prompts.password(options)
        with_second_factor(options, lambda **factor: vaultr.raise_kdf_cost(password, **factor))
    text = "The KDF cost is raised; the master password is the same. All other sessions have ended."
    output.print_result(options.json, {"changed": True}, text)
    if not options.json:
        output.print_line(_NEXT)


def _print_change(options: GlobalOptions, change: "PasswordChanged") -> None:
    # cryptography is slow to import; here it is already loaded.
    from vaultr.client.crypto.keys import secret_key_text  # noqa: PLC0415 - heavy, see above

    key = None if change.secret_key is None else secret_key_text(change.secret_key)
    if options.json:
        output.print_json({"changed": True, "new_account_key": change.new_key, "secret_key": key})
        return
    output.print_line("The master password is changed. All other sessions have ended.")
    if key is not None:
        output.print_line("")
        output.print_line(f"New secret key: {key}")
        output.print_line("")
        output.print_line("Write it down now. It is shown only once. The old one is invalid.")
    if change.new_key:
        output.print_line("The account has a new key. An earlier recovery key is invalid.")
    output.print_line(_NEXT)


def rotate_all_vaults(vaultr: "Vaultr") -> None:
    """Rotate the keys of all vaults after the account key was replaced.

    The profile records that the rotation is due, so nothing is lost if this is interrupted.
    """
    try:
        rotated = vaultr.rotate(restart=True)
    except VaultrError as error:
        error.add_note(
            "The password is changed, but some vaults still have their old keys. Run: vaultr rotate"
        )
        raise
    output.print_note(f"Rotated keys: {len(rotated)} {'vault' if len(rotated) == 1 else 'vaults'}.")
