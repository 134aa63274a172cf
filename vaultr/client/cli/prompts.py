"""Asks for what may not stand in the arguments: by prompt, descriptor or standard input."""

import contextlib
import os
import sys
import termios
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from vaultr.client.account.password_policy import PASSWORD_RULE
from vaultr.client.background import memory_protection
from vaultr.client.cli.mail_tokens import mail_address
from vaultr.client.cli.options import Choices
from vaultr.client.cli.output import tell
from vaultr.client.errors import Locked, UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.account.emergency_kit import Kit

# Nobody has a longer password; a pipe without end must not fill the memory.
_STANDARD: Final = 2  # descriptors up to this stay open
_TOTP_DIGITS: Final = 6
# How often what is plainly no key, or no code, is asked for again.
_TRIES: Final = 3
_SECRET_BYTES: Final = 64 * 1024
INPUT_BYTES: Final = 64 * 1024 * 1024


def read_descriptor(number: int, option: str) -> str:
    """Read a secret from a descriptor to its end, and close it, so that no child inherits it.

    One trailing newline is dropped.

    :raises UsageError: it is not open, too long, empty or not UTF-8; says only which option.
    """
    memory_protection.guard()
    try:
        with open(number, "rb", closefd=number > _STANDARD) as source:
            data = source.read(_SECRET_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{option} {number}: {os.strerror(error.errno or 0)}") from None
    if len(data) > _SECRET_BYTES:
        raise UsageError(f"{option} {number}: more than {_SECRET_BYTES // 1024} KiB")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{option} {number}: not UTF-8") from None
    text = text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
    if not text:
        raise UsageError(f"{option} {number}: nothing was there")
    return text


def forget_descriptors(choices: Choices) -> None:
    """Close the descriptors that hold secrets, read or not, so that no other program gets them."""
    for number in choices.secret_fds:
        if number == 0:
            with open(os.devnull, "rb") as nothing:
                os.dup2(nothing.fileno(), 0)
        else:
            with contextlib.suppress(OSError):  # it was read, and closed then
                os.close(number)


def read_input(choices: Choices) -> bytes:
    """Read standard input to its end, when no secret is to be read from there.

    :raises UsageError: a secret is, or it is larger than 64 MiB.
    """
    if 0 in choices.secret_fds:
        raise UsageError("Standard input cannot hold a secret and the input; use another number.")
    data = sys.stdin.buffer.read(INPUT_BYTES + 1)
    if len(data) > INPUT_BYTES:
        raise UsageError(f"Standard input holds more than {INPUT_BYTES // 1024 // 1024} MiB.")
    return data


@contextlib.contextmanager
def unechoed(descriptor: int = 0) -> Iterator[None]:
    """Show nothing of what is typed there, where it is a terminal; what was pasted stays."""
    if not os.isatty(descriptor):
        yield
        return
    memory_protection.guard()
    before = termios.tcgetattr(descriptor)
    silent = termios.tcgetattr(descriptor)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def read_input_line(choices: Choices) -> str:
    """Read one line of standard input, when no secret is to be read from there.

    :raises UsageError: a secret is, or nothing is there.
    """
    if 0 in choices.secret_fds:
        raise UsageError("Standard input cannot hold a secret and the input; use another number.")
    line = sys.stdin.buffer.readline(_SECRET_BYTES).decode(errors="replace").strip()
    if not line:
        raise UsageError("Nothing came by standard input.")
    return line


def can_ask() -> bool:
    """Tell whether somebody is there to answer a prompt."""
    with contextlib.suppress(OSError), open("/dev/tty", "rb+", buffering=0):
        return True
    return sys.stdin.isatty()


def ask_hidden(prompt: str, *, twice: bool = False, empty: bool = False) -> str:
    """Ask on the terminal without showing what is typed.

    :param twice: ask again, until both are the same.
    :param empty: an empty answer is one.
    """
    memory_protection.guard()
    confirm = f"{prompt} (again)" if twice else False
    default = "" if empty else None
    answer = click.prompt(
        prompt,
        default,
        hide_input=True,
        confirmation_prompt=confirm,
        show_default=False,
        err=True,
    )
    return str(answer)


def password(choices: Choices) -> str:
    """Get the master password, once for a command: from its descriptor, else by prompt.

    :raises UsageError: there is neither.
    """
    if choices.password is None:
        if choices.password_fd is not None:
            choices.password = read_descriptor(choices.password_fd, "--password-fd")
        elif can_ask():
            choices.password = ask_hidden("Master password")
        else:
            raise UsageError("There is no terminal to ask for the password on: use --password-fd.")
    return choices.password


def password_or_locked(choices: Choices) -> str:
    """Get the master password as :func:`password` does.

    :raises Locked: there is no way to get it, which for a script is the same as a locked device.
    """
    if choices.password is None and choices.password_fd is None and not can_ask():
        raise Locked(
            "This device is locked: run `vaultr unlock`, or hand the password over by"
            " --password-fd."
        )
    return password(choices)


def password_again(choices: Choices) -> str:
    """Get the master password as :func:`password` does, where an unlocked device is not enough.

    :raises UsageError: there is no way to get it; unlocking would not help.
    """
    if choices.password is None and choices.password_fd is None and not can_ask():
        raise UsageError(
            "This asks for the master password, also on an unlocked device, and there is no"
            " terminal to ask on: hand it over by --password-fd."
        )
    return password(choices)


def new_password(number: int | None, option: str) -> str:
    """Get a master password that is to be: from a descriptor, else by two prompts that agree.

    :raises UsageError: there is neither.
    """
    if number is not None:
        return read_descriptor(number, option)
    if not can_ask():
        raise UsageError(f"There is no terminal to ask for the new password on: use {option}.")
    tell(f"It needs {PASSWORD_RULE}.")
    return ask_hidden("New master password", twice=True)


def second_factor(choices: Choices) -> dict[str, str] | None:
    """Get the code of the second factor, or a recovery code; None where there is no way to."""
    if choices.totp_fd is not None:
        text = read_descriptor(choices.totp_fd, "--totp-fd")
    elif can_ask():
        text = ask_hidden("Code of your second factor, or a recovery code")
    else:
        return None
    code = "".join(text.split())
    return {"totp" if code.isdecimal() and len(code) == _TOTP_DIGITS else "recovery_code": code}


def secret_key(choices: Choices) -> "dict[str, bytes | Kit]":
    """Get the secret key, or the kit in its place, from its descriptor; empty if none was named."""
    if choices.secret_key_fd is None:
        return {}
    return secret_key_of(read_descriptor(choices.secret_key_fd, "--secret-key-fd"))


def ask_secret_key(prompt: str) -> str:
    """Ask for a secret key or the text of a kit, which may be typed or pasted in several lines."""
    # cryptography takes long to import; here it is loaded already.
    from vaultr.client.account.emergency_kit import is_begun_kit  # noqa: PLC0415 - heavy, see above

    with open("/dev/tty", "rb+", buffering=0) as terminal, unechoed(terminal.fileno()):
        terminal.write(f"{prompt}: ".encode())
        text = ""
        while not text or is_begun_kit(text):
            line = terminal.readline(_SECRET_BYTES)
            if not line or len(text) > _SECRET_BYTES:
                raise click.Abort
            text += line.decode(errors="replace")
        terminal.write(b"\n")
    return text.strip()


def asked_secret_key(prompt: str) -> "dict[str, bytes | Kit]":
    """Ask for a secret key or a kit until it is one, some times; empty if nothing was typed.

    :raises VaultrError: what was typed was never either; nothing is sent for that.
    """
    for left in range(_TRIES - 1, -1, -1):
        text = ask_secret_key(prompt)
        try:
            return {**secret_key_of(text)} if text else {}
        except VaultrError as error:
            if not left:
                raise
            tell(f"{error} Nothing was sent.")
    raise AssertionError("the last try returns or raises")


def secret_key_of(text: str) -> "dict[str, bytes | Kit]":
    """Read a secret key as it was written down, or the text of an emergency kit.

    :return: ``secret_key`` or ``kit``, as a login takes it.
    :raises VaultrError: it is neither; what was typed is not repeated.
    """
    # cryptography takes long to import, and only this command needs it here.
    from vaultr.client.account.emergency_kit import looks_like_kit, read_kit  # noqa: PLC0415 - heavy, see above
    from vaultr.client.crypto.keys import secret_key_bytes  # noqa: PLC0415 - heavy, see above

    if looks_like_kit(text):
        try:
            return {"kit": read_kit(text)}
        except ValueError as error:
            raise VaultrError(f"That is not an emergency kit: {error}.") from None
    try:
        return {"secret_key": secret_key_bytes(text)}
    except ValueError as error:
        raise VaultrError(f"That is not a secret key: {error}.") from None


def email(choices: Choices, known: str | None = None) -> str:
    """Get the mail address: as given, else as the folder knows it, else by prompt.

    :raises UsageError: there is none of them, or what was given is no address.
    """
    if choices.email:
        return mail_address(choices.email)
    if known:
        return known
    if not can_ask():
        raise UsageError("Say whose account it is by --email.")
    return str(click.prompt("Mail address", value_proc=_typed_address, err=True))


def _typed_address(text: str) -> str:
    try:
        return mail_address(text)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None  # then click asks again


def confirmed(question: str, *, yes: bool) -> None:
    """Go on only when ``yes`` was said, as an option or now.

    :raises UsageError: nobody is there to be asked.
    :raises VaultrError: the answer is no.
    """
    if yes:
        return
    if not can_ask():
        raise UsageError("Say --yes, because there is no terminal to ask on.")
    if not click.confirm(question, err=True):
        raise VaultrError("Nothing was changed.")
