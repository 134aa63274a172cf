"""Read values that must not be arguments, from prompts, file descriptors or standard input."""

import contextlib
import os
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from vaultr.client.account.password_policy import PASSWORD_RULE, WeakPassword, check_password
from vaultr.client.background import memory_protection
from vaultr.client.cli.email_tokens import email_address
from vaultr.client.cli.options import GlobalOptions
from vaultr.client.cli.output import print_note, printable
from vaultr.client.errors import Locked, UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.account.emergency_kit import Kit

T = TypeVar("T")

_LAST_STANDARD_FD: Final = 2  # file descriptors up to this one stay open
_TOTP_DIGITS: Final = 6
TRIES: Final = 3  # how often a prompt asks before the command fails
# An endless pipe must not fill the memory; no password is longer.
_MAX_SECRET_BYTES: Final = 64 * 1024
MAX_INPUT_BYTES: Final = 64 * 1024 * 1024


def read_descriptor(number: int, option: str) -> str:
    """Read a secret from a file descriptor to its end, and close it, so that no child inherits it.

    Remove one trailing newline.

    :raises UsageError: the descriptor is not open, or its content is too long, empty or not UTF-8.
        The message contains only the option.
    """
    memory_protection.guard()
    try:
        with open(number, "rb", closefd=number > _LAST_STANDARD_FD) as source:
            data = source.read(_MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{option} {number}: {os.strerror(error.errno or 0)}") from None
    if len(data) > _MAX_SECRET_BYTES:
        raise UsageError(f"{option} {number} is longer than {_MAX_SECRET_BYTES // 1024} KiB.")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{option} {number} is not UTF-8.") from None
    text = text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
    if not text:
        raise UsageError(f"{option} {number} is empty.")
    return text


def close_secret_descriptors(options: GlobalOptions) -> None:
    """Close the file descriptors that carry secrets, so that no program inherits them."""
    for number in options.secret_fds:
        if number == 0:
            with open(os.devnull, "rb") as nothing:
                os.dup2(nothing.fileno(), 0)
        else:
            with contextlib.suppress(OSError):  # already closed after reading
                os.close(number)


def read_input(options: GlobalOptions) -> bytes:
    """Read standard input to its end.

    :raises UsageError: a secret comes from standard input, or the input is larger than 64 MiB.
    """
    _check_input_is_free(options)
    data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    if len(data) > MAX_INPUT_BYTES:
        raise UsageError(f"Standard input is larger than {MAX_INPUT_BYTES // 1024 // 1024} MiB.")
    return data


def read_input_line(options: GlobalOptions) -> str:
    """Read one line of standard input.

    :raises UsageError: a secret comes from standard input, or the line is empty.
    """
    _check_input_is_free(options)
    line = sys.stdin.buffer.readline(_MAX_SECRET_BYTES).decode(errors="replace").strip()
    if not line:
        raise UsageError("Standard input is empty.")
    return line


def _check_input_is_free(options: GlobalOptions) -> None:
    if 0 in options.secret_fds:
        raise UsageError(
            "Standard input cannot carry both a secret and the input. Use another file descriptor"
            " for the secret, such as 3."
        )


@contextlib.contextmanager
def echo_off(descriptor: int = 0) -> Iterator[None]:
    """Hide typed text on a terminal; keep input that was pasted before the prompt."""
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


def can_ask() -> bool:
    """Check whether there is a terminal for questions."""
    with contextlib.suppress(OSError), open("/dev/tty", "rb+", buffering=0):
        return True
    return sys.stdin.isatty()


def drop_pending_input() -> None:
    """Discard typed but unread input, so that it does not reach the shell."""
    with (
        contextlib.suppress(OSError, termios.error),
        open("/dev/tty", "rb", buffering=0) as terminal,
    ):
        termios.tcflush(terminal.fileno(), termios.TCIFLUSH)


def ask_hidden(prompt: str, *, twice: bool = False, empty: bool = False) -> str:
    """Ask on the terminal without showing typed text.

    :param twice: ask for the value twice, until both entries are the same.
    :param empty: accept an empty entry.
    """
    memory_protection.guard()
    confirm = f"{prompt} (again)" if twice else False
    default = "" if empty else None
    entry = click.prompt(
        prompt,
        default,
        hide_input=True,
        confirmation_prompt=confirm,
        show_default=False,
        err=True,
    )
    return str(entry)


def password(options: GlobalOptions) -> str:
    """Return the master password, from its file descriptor or a prompt; ask once per command.

    :raises UsageError: there is neither a descriptor nor a terminal.
    """
    if options.password is None:
        if options.password_fd is not None:
            options.password = read_descriptor(options.password_fd, "--password-fd")
        elif can_ask():
            options.password = ask_hidden("Master password")
        else:
            raise UsageError(
                "Cannot ask for the master password: there is no terminal. Use --password-fd."
            )
    return options.password


def password_or_locked(options: GlobalOptions) -> str:
    """Return the master password as :func:`password` does.

    :raises Locked: there is no way to get it; for a script this means that the device is locked.
    """
    if options.password is None and options.password_fd is None and not can_ask():
        raise Locked("This device is locked. Run `vaultr unlock`, or use --password-fd.")
    return password(options)


def password_again(options: GlobalOptions) -> str:
    """Return the master password as :func:`password` does, even on an unlocked device.

    :raises UsageError: there is no way to get it, and unlocking would not help.
    """
    if options.password is None and options.password_fd is None and not can_ask():
        raise UsageError(
            "This command needs the master password, even on an unlocked device, and there is no"
            " terminal to ask on. Use --password-fd."
        )
    return password(options)


def new_password(
    number: int | None, option: str, address: str, *, breach_file: Path | None = None
) -> str:
    """Return a new master password, from a file descriptor or from two prompts that agree.

    A weak password is reported after the first entry, and asked for again.

    :param address: the email address of the account, which must not be in the password.
    :param breach_file: a list of breached passwords, which must not contain the password.
    :raises UsageError: there is neither a descriptor nor a terminal.
    :raises WeakPassword: the password from the file descriptor is too weak.
    """
    if breach_file is not None:
        check_breach_file(breach_file)  # before the user types a password for nothing
    if number is not None:
        entry = read_descriptor(number, option)
        _check_new(entry, address, breach_file)
        return entry
    if not can_ask():
        raise UsageError(f"Cannot ask for the new password: there is no terminal. Use {option}.")
    print_note(f"The new master password needs {PASSWORD_RULE}.")
    while True:
        entry = ask_hidden("New master password")
        try:
            _check_new(entry, address, breach_file)
        except WeakPassword as error:
            print_note(f"{error} Suggestion: a passphrase, as from `vaultr generate --words 6`.")
            continue
        if ask_hidden("New master password (again)") == entry:
            return entry
        print_note("The two entries differ. Type both again.")


def check_breach_file(path: Path) -> None:
    """Check that a file is a list of breached passwords.

    :raises BreachFileInvalid: it is not such a list.
    """
    from vaultr.client.password_health.breach_file import BreachFile  # noqa: PLC0415 - seldom needed

    with BreachFile(path):
        pass


def _check_new(password: str, address: str, breach_file: Path | None) -> None:
    """Check a new master password; no part of its hash is ever sent.

    :raises WeakPassword: it is easy to guess, or in the list.
    """
    check_password(password, address)
    if breach_file is None:
        return
    from vaultr.client.password_health.breach_file import BreachFile  # noqa: PLC0415 - seldom needed

    with BreachFile(breach_file) as hashes:
        if hashes.count_of(password):
            raise WeakPassword("This master password is in the list of breached passwords.")


def second_factor(options: GlobalOptions) -> dict[str, str]:
    """Return the TOTP code or recovery code, from its file descriptor or a prompt."""
    if options.totp_fd is not None:
        text = read_descriptor(options.totp_fd, "--totp-fd")
    else:
        text = ask_hidden("TOTP code or recovery code")
    code = "".join(text.split())
    return {"totp" if code.isdecimal() and len(code) == _TOTP_DIGITS else "recovery_code": code}


def secret_key(options: GlobalOptions) -> "dict[str, bytes | Kit]":
    """Return the secret key or emergency kit from its file descriptor; empty without one."""
    if options.secret_key_fd is None:
        return {}
    return parse_secret_key(read_descriptor(options.secret_key_fd, "--secret-key-fd"))


def ask_secret_key(prompt: str) -> "dict[str, bytes | Kit]":
    """Ask for a secret key or the text of an emergency kit; empty if nothing is typed.

    :raises VaultrError: no entry was valid. Nothing was sent.
    """

    def entry() -> "dict[str, bytes | Kit]":
        text = _read_secret_key(prompt)
        return {**parse_secret_key(text)} if text else {}

    return until_valid(entry, hint="Nothing was sent.")


def until_valid(
    entry: Callable[[], T],
    *,
    hint: str,
    invalid: Callable[[VaultrError], bool] = lambda error: True,
) -> T:
    """Call ``entry``, which asks for something, until it succeeds; fail after three errors.

    :param hint: what to print after the error, before asking again.
    :param invalid: return whether an error means that the entry was wrong.
    """
    for tries_left in range(TRIES - 1, -1, -1):
        try:
            return entry()
        except VaultrError as error:
            if not tries_left or not invalid(error):
                raise
            print_note(f"{printable(str(error))} {hint}")
    raise AssertionError("the last try returns or raises")


def _read_secret_key(prompt: str) -> str:
    """Read a secret key or an emergency kit, which may be pasted in several lines."""
    # cryptography is slow to import; here it is already loaded.
    from vaultr.client.account.emergency_kit import is_begun_kit  # noqa: PLC0415 - heavy, see above

    with open("/dev/tty", "rb+", buffering=0) as terminal, echo_off(terminal.fileno()):
        terminal.write(f"{prompt}: ".encode())
        text = ""
        while not text or is_begun_kit(text):
            line = terminal.readline(_MAX_SECRET_BYTES)
            if not line or len(text) > _MAX_SECRET_BYTES:
                raise click.Abort
            text += line.decode(errors="replace")
        terminal.write(b"\n")
    return text.strip()


def parse_secret_key(text: str) -> "dict[str, bytes | Kit]":
    """Parse a secret key or the text of an emergency kit.

    :return: ``secret_key`` or ``kit``, as arguments of a login.
    :raises VaultrError: it is neither. The message does not contain the text.
    """
    # cryptography is slow to import, and only this command needs it here.
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


def email(options: GlobalOptions, known: str | None = None) -> str:
    """Return the email address: from ``--email``, from this device, or from a prompt.

    :param known: the address of the account that this device belongs to.
    :raises UsageError: none of them is set, or ``--email`` is not an email address.
    """
    if options.email:
        return email_address(options.email)
    if known:
        return known
    if not can_ask():
        raise UsageError("The email address of the account is missing. Use --email.")
    return str(click.prompt("Email address", value_proc=_parse_address, err=True))


def _parse_address(text: str) -> str:
    try:
        return email_address(text)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None  # then click asks again


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation, unless ``yes`` is set.

    :raises UsageError: there is no terminal.
    :raises VaultrError: the user declines.
    """
    if yes:
        return
    if not can_ask():
        raise UsageError("Cannot ask for confirmation: there is no terminal. Use --yes.")
    try:
        confirmed = click.confirm(question, err=True)
    except click.Abort:
        print_note("\nNothing was changed.")
        raise
    if not confirmed:
        raise VaultrError("Cancelled. Nothing was changed.")
