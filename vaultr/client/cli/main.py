"""The `vaultr` command group, its exit codes and how errors are printed."""

import io
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final

import click

from vaultr.client.cli import machine_mode, prompts
from vaultr.client.cli.commands import (
    account,
    add_edit,
    audit,
    breach_check,
    canary,
    code,
    completion,
    copy_secret,
    credential_helpers,
    doctor,
    email_deletion,
    export,
    gateway,
    generate,
    health,
    history,
    hook,
    import_items,
    list_show,
    machines,
    move,
    passwd,
    read_inject,
    recovery,
    rm_restore,
    rotate,
    run,
    sessions,
    ssh_agent,
    status,
    sync,
    vaults,
)
from vaultr.client.cli.exit_codes import epilog
from vaultr.client.cli.options import GlobalOptions, Group
from vaultr.client.cli.output import print_json_note, print_note, printable
from vaultr.client.cli.suggestions import missing_word
from vaultr.client.errors import VaultrError
from vaultr.version import __version__

INTERRUPTED: Final = 130  # as in a shell: 128 plus the number of SIGINT
FAILED: Final = 1


@click.group(
    "vaultr", cls=Group, epilog=epilog(), examples=("vaultr list mail", "vaultr add --help")
)
@click.version_option(__version__, "-V", "--version", prog_name="vaultr", help="Show the version")
def vaultr() -> None:
    """Store passwords and secrets in vaults that the server cannot read."""


_add = vaultr.add_section
_add("Get started", account.signup, account.verify, email_deletion.resend, account.login)
_add("Lock and unlock", account.unlock, account.lock, account.logout)
_add("Items", list_show.list_items, list_show.show, add_edit.add, add_edit.edit, rm_restore.rm)
_add("Items", rm_restore.restore, history.history, move.move, import_items.import_file)
_add("Secrets", copy_secret.copy, code.code, generate.generate)
_add("Secrets", read_inject.read, read_inject.inject)
_add("Environment sets", run.run, export.export)
_add("Integrations", credential_helpers.git_credential, ssh_agent.ssh_agent)
_add("Integrations", hook.hook, hook.allow, hook.deny)
_add("Machines", machines.machines, gateway.gateway)
_add("Vaults", vaults.vaults, sync.sync, rotate.rotate)
_add("Account", passwd.passwd, recovery.kit, recovery.recovery_key, recovery.recover)
_add("Account", sessions.sessions, sessions.totp, email_deletion.email, email_deletion.account)
_add("Account", audit.audit, health.health, breach_check.breach_check)
_add("Operation", canary.canary)
vaultr.aliases["whoami"] = "status"
_add("This device", status.status, doctor.doctor, completion.completion)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        # If the locale lacks a character, a command whose work is done must not fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    if completion.VARIABLE in os.environ and completion.complete(vaultr):
        return 0
    options = GlobalOptions()
    try:
        machine_mode.check_arguments(arguments)
        exit_code = vaultr.main(
            args=arguments, prog_name="vaultr", standalone_mode=False, obj=options
        )
    except click.ClickException as error:
        return _print_usage_error(options, error)
    except click.Abort:
        prompts.drop_pending_input()
        if options.json:
            _print_error(options, "Interrupted.", exit_code=INTERRUPTED)
        else:
            print_note("Interrupted.")
        return INTERRUPTED
    except VaultrError as error:
        prompts.drop_pending_input()
        message = str(error) or type(error).__doc__ or type(error).__name__
        notes = [*getattr(error, "__notes__", ()), error.advice]
        slug = getattr(error, "slug", "")
        _print_error(options, message, notes, exit_code=error.exit_code, slug=slug)
        return error.exit_code
    except OSError as error:
        # For example: the folder is not writable, the disk is full, a file does not exist.
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror or type(error).__name__}"
        _print_error(options, message, exit_code=FAILED)
        return FAILED
    return exit_code if isinstance(exit_code, int) else 0


def _print_error(
    options: GlobalOptions,
    message: str,
    notes: Sequence[str] = (),
    *,
    exit_code: int,
    slug: str = "",
) -> None:
    """Print an error to stderr: as lines, or with ``--json`` as one line of JSON."""
    advice = [note for note in notes if note]
    if not options.json:
        for line in [*message.splitlines(), *advice]:
            print_note(f"vaultr: {printable(line)}")
        return
    error: dict[str, object] = {"message": message}
    error |= {"advice": " ".join(advice)} if advice else {}
    error |= {"slug": slug} if slug else {}
    print_json_note({"error": {**error, "exit_code": exit_code}})


def _print_usage_error(options: GlobalOptions, error: click.ClickException) -> int:
    needs_help = isinstance(error, click.exceptions.NoArgsIsHelpError)
    context = error.ctx if isinstance(error, click.exceptions.NoArgsIsHelpError) else None
    missing = None if context is None else missing_word(context)
    if options.json:
        # If an error needs the help, its message is the whole help.
        message = "Missing arguments." if needs_help else error.format_message()
        _print_error(options, missing or message, exit_code=error.exit_code)
        return error.exit_code
    # Somebody else may have chosen a file name in the message.
    text = io.StringIO()
    error.show(file=text)
    print_note(text.getvalue().rstrip("\n"))
    if needs_help:
        print_note(f"\nvaultr: {missing}" if missing else "")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
