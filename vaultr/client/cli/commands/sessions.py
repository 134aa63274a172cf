"""The commands `vaultr sessions` and `vaultr totp`: sessions and the second factor."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import GlobalOptions, Group, command, pass_options
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.cli.step_up import step_up
from vaultr.client.errors import NotFound, Refused, UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.account.sessions_and_factors import FactorInfo, SessionInfo, TotpBegun
    from vaultr.client.vaultr_client import Vaultr

# Cameras need dark on light, regardless of the terminal's colours.
_DARK_ON_LIGHT: Final = "\x1b[38;5;16m\x1b[48;5;231m"
_RESET_STYLE: Final = "\x1b[0m"
_WRONG_CODE_STATUS: Final = 422
_NOT_FOUND_STATUS: Final = 404
_SHORT_ID: Final = 8  # characters of an id that tables show and commands need
_ID: Final = re.compile(r"[0-9a-f-]{8,36}", re.IGNORECASE)
_LIST_ADVICE: Final = "To list your sessions: vaultr sessions list"


@click.group("sessions", cls=Group, examples=("vaultr sessions list", "vaultr sessions revoke ID"))
def sessions() -> None:
    """List and end the sessions of your devices."""


@command("list", "vaultr sessions list", "vaultr sessions list --json")
@pass_options
def list_sessions(options: GlobalOptions) -> None:
    """List active sessions, newest first."""
    with unlocked_sdk(options) as vaultr:
        found = vaultr.sessions()
    if options.json:
        output.print_json([_session_json(each) for each in found])
        return
    head = ("DEVICE", "LAST USED", "FROM", "CLIENT", "ID")
    output.print_table(head, map(_session_row, found))


def _session_row(session: "SessionInfo") -> tuple[str, ...]:
    device = f"(this one) {session.device}" if session.current else session.device
    # The server updates the last use of a session every few minutes; this session is in use now.
    used = session.last_used_at.isoformat(sep=" ", timespec="minutes").replace("+00:00", "")
    used = "now" if session.current else used
    return (device, used, session.address, session.client, str(session.id)[:_SHORT_ID])


def _session_json(session: "SessionInfo") -> dict[str, Any]:
    return {
        "id": str(session.id),
        "device": session.device,
        "client": session.client,
        "address": session.address,
        "created_at": _time(session.created_at),
        "last_used_at": _time(session.last_used_at),
        "current": session.current,
    }


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@command("revoke", "vaultr sessions revoke 018f2c7a", no_args_is_help=True)
@click.argument("session", metavar="ID")
@pass_options
def revoke(options: GlobalOptions, session: str) -> None:
    """End one session; the server rejects its next request.

    ID is the id of the session, or its first 8 characters, as `vaultr sessions list` shows them.
    """
    if not _ID.fullmatch(session):
        raise UsageError(f"No session has the id {output.printable(session)}. {_LIST_ADVICE}")
    with unlocked_sdk(options) as vaultr:
        found = [each for each in vaultr.sessions() if str(each.id).startswith(session.lower())]
        if len(found) != 1:
            which = "no active session" if not found else "several sessions"
            message = f"You have {which} {session}. {_LIST_ADVICE}"
            raise NotFound("not-found", _NOT_FOUND_STATUS, message)
        vaultr.revoke_session(found[0].id)
    output.print_result(
        options.json, {"id": str(found[0].id), "revoked": True}, "The session has ended."
    )


for each in (list_sessions, revoke):
    sessions.add_command(each)


@click.group("totp", cls=Group, examples=("vaultr totp add", "vaultr totp codes"))
def totp() -> None:
    """Manage an authenticator app as the second factor."""


@command("list", "vaultr totp list")
@pass_options
def list_factors(options: GlobalOptions) -> None:
    """List second factors and how many recovery codes are left."""
    with unlocked_sdk(options) as vaultr:
        found = vaultr.factors()
    if options.json:
        output.print_json([_factor_json(each) for each in found])
    elif found:
        head = ("FACTOR", "SINCE", "LEFT")
        output.print_table(head, map(_factor_row, found))
    else:
        output.print_note("The account has no second factor. To add one: vaultr totp add")


def _factor_json(factor: "FactorInfo") -> dict[str, Any]:
    since = _time(factor.created_at)
    return {"kind": factor.kind, "created_at": since, "left": factor.left}


def _factor_row(factor: "FactorInfo") -> tuple[str, ...]:
    left = "" if factor.left is None else str(factor.left)
    return (factor.kind, str(factor.created_at.date()), left)


@command("add", "vaultr totp add")
@pass_options
def add_factor(options: GlobalOptions) -> None:
    """Add an authenticator app and show ten recovery codes once.

    Scan the QR code with the app, or type the secret below it. Then type a code of the app to
    confirm.

    With --json, the command prints the secret, reads the code as one line of standard input, and
    then prints the recovery codes.
    """
    with unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        _print_secret(options, vaultr.begin_totp())
        codes = _confirm(options, vaultr)
    _print_codes(options, codes)


def _confirm(options: GlobalOptions, vaultr: "Vaultr") -> list[str]:
    """Confirm the app with its code; after a wrong code, the scanned secret stays valid."""

    def attempt() -> list[str]:
        return list(vaultr.confirm_totp(_read_code(options)))

    if not _is_interactive(options):
        return attempt()
    return prompts.until_valid(
        attempt, hint="Type the code that the app shows now.", invalid=_is_wrong_code
    )


def _is_wrong_code(error: VaultrError) -> bool:
    rejected = isinstance(error, Refused) and error.status == _WRONG_CODE_STATUS
    return rejected or isinstance(error, UsageError)


def _is_interactive(options: GlobalOptions) -> bool:
    return not options.json and prompts.can_ask()


def _read_code(options: GlobalOptions) -> str:
    if _is_interactive(options):
        text = prompts.ask_hidden("Code from the app")
    else:
        text = prompts.read_input_line(options)
    code = "".join(text.split())
    if not code.isdecimal():
        raise UsageError("A code has six digits.")
    return code


def _print_secret(options: GlobalOptions, begun: "TotpBegun") -> None:
    if options.json:
        output.print_json({"secret": begun.secret, "uri": begun.uri})
        return
    if output.is_terminal():
        # Only this needs segno.
        from vaultr.client.account import qr  # noqa: PLC0415 - late, see above

        for line in qr.lines(begun.uri):
            output.print_styled_line(f"{_DARK_ON_LIGHT}{line}{_RESET_STYLE}")
    output.print_line(f"Secret: {begun.secret}")


def _print_codes(options: GlobalOptions, codes: list[str]) -> None:
    if options.json:
        output.print_json({"recovery_codes": codes})
        return
    output.print_line("Recovery codes. Each replaces a code of the app once:")
    for code in codes:
        output.print_line(f"  {code}")
    output.print_line("Write them down now. They are shown only once.")


@command("codes", "vaultr totp codes")
@pass_options
def renew_codes(options: GlobalOptions) -> None:
    """Create ten new recovery codes.

    The old codes become invalid.
    """
    with unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        codes = vaultr.renew_recovery_codes()
    _print_codes(options, list(codes))


@command("remove", "vaultr totp remove")
@pass_options
def remove_factor(options: GlobalOptions) -> None:
    """Remove the authenticator app and its recovery codes."""
    with unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        vaultr.remove_totp()
    output.print_result(options.json, {"removed": True}, "The second factor is removed.")


for each in (list_factors, add_factor, renew_codes, remove_factor):
    totp.add_command(each)
