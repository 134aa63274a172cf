"""The command group, and what becomes of errors: one line on stderr and an exit code."""

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final

import click

from vaultr.client.cli.commands import (
    account,
    changing,
    codes,
    completing,
    copying,
    doctoring,
    exporting,
    generating,
    history,
    importing,
    moving,
    owning,
    passwd,
    reading,
    recovering,
    referring,
    rotating,
    running,
    sessions,
    trashing,
    vaults,
)
from vaultr.client.cli.exits import epilog
from vaultr.client.cli.hints import missing
from vaultr.client.cli.options import Group
from vaultr.client.cli.showing import printable, tell
from vaultr.client.errors import VaultrError
from vaultr.version import __version__

ABORTED: Final = 130  # as a shell has it: 128 and the number of SIGINT
REFUSED: Final = 1


@click.group(
    "vaultr", cls=Group, epilog=epilog(), examples=("vaultr list mail", "vaultr add --help")
)
@click.version_option(__version__, "-V", "--version", prog_name="vaultr")
def vaultr() -> None:
    """Keep passwords, keys and environment sets in a vault whose server cannot read them."""


_add = vaultr.add_section
_add("First", account.signup, account.verify, owning.resend, account.login)
_add("Keys in memory", account.unlock, account.lock, account.logout)
_add("Items", reading.list_items, reading.show, changing.add, changing.edit, trashing.rm)
_add("Items", trashing.restore, history.history, moving.move, importing.import_file)
_add("Values", copying.copy, codes.code, generating.generate, referring.read, referring.inject)
_add("Environment sets", running.run, exporting.export)
_add("Vaults", vaults.vaults, vaults.sync, rotating.rotate)
_add("Account", passwd.passwd, recovering.kit, recovering.recovery_key, recovering.recover)
_add("Account", sessions.sessions, sessions.totp, owning.email, owning.account)
_add("This device", doctoring.doctor, completing.completion)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A locale that lacks a letter must not end a command that was done.
        sys.stdout.reconfigure(errors="backslashreplace")
    if (code := completing.answer(vaultr)) is not None:
        return code
    try:
        code = vaultr.main(args=arguments, prog_name="vaultr", standalone_mode=False)
    except click.ClickException as error:
        return _refused(error)
    except click.Abort:
        tell("Stopped.")
        return ABORTED
    except VaultrError as error:
        said = str(error) or type(error).__doc__ or type(error).__name__
        for line in [*said.splitlines(), *getattr(error, "__notes__", ()), error.advice]:
            if line:
                tell(f"vaultr: {printable(line)}")
        return error.exit_code
    except OSError as error:
        # The folder cannot be written, the disk is full, a file is not there.
        where = f"{error.filename}: " if error.filename else ""
        tell(f"vaultr: {printable(f'{where}{error.strerror or type(error).__name__}')}")
        return REFUSED
    return code if isinstance(code, int) else 0


def _refused(error: click.ClickException) -> int:
    error.show()
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and error.ctx is not None:
        said = missing(error.ctx)
        tell(f"\nvaultr: {said}" if said else "")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
