"""The command group, and what becomes of errors: one line on stderr and an exit code."""

import io
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final

import click

from vaultr.client.cli.commands import (
    account,
    add_edit,
    audit,
    completion,
    copy_secret,
    credential_helpers,
    doctor,
    email_deletion,
    export,
    generate,
    health,
    history,
    hook,
    import_items,
    list_show,
    move,
    passwd,
    read_inject,
    recovery,
    rm_restore,
    rotate,
    run,
    sessions,
    ssh_agent,
    vaults,
)
from vaultr.client.cli.commands import code as codes
from vaultr.client.cli.exit_codes import epilog
from vaultr.client.cli.options import Group
from vaultr.client.cli.output import printable, tell
from vaultr.client.cli.suggestions import missing
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
_add("First", account.signup, account.verify, email_deletion.resend, account.login)
_add("Keys in memory", account.unlock, account.lock, account.logout)
_add("Items", list_show.list_items, list_show.show, add_edit.add, add_edit.edit, rm_restore.rm)
_add("Items", rm_restore.restore, history.history, move.move, import_items.import_file)
_add(
    "Values", copy_secret.copy, codes.code, generate.generate, read_inject.read, read_inject.inject
)
_add("Environment sets", run.run, export.export)
_add("Integrations", credential_helpers.git_credential, ssh_agent.ssh_agent)
_add("Integrations", hook.hook, hook.allow, hook.deny)
_add("Vaults", vaults.vaults, vaults.sync, rotate.rotate)
_add("Account", passwd.passwd, recovery.kit, recovery.recovery_key, recovery.recover)
_add("Account", sessions.sessions, sessions.totp, email_deletion.email, email_deletion.account)
_add("Account", audit.audit, health.health)
_add("This device", doctor.doctor, completion.completion)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the answer is its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A locale that lacks a letter must not end a command that was done.
        sys.stdout.reconfigure(errors="backslashreplace")
    if (code := completion.answer(vaultr)) is not None:
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
    # A file name in it may have been chosen by somebody else.
    shown = io.StringIO()
    error.show(file=shown)
    tell(shown.getvalue().rstrip("\n"))
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and error.ctx is not None:
        said = missing(error.ctx)
        tell(f"\nvaultr: {said}" if said else "")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
