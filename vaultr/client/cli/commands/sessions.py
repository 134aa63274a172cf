"""Commands about where the account is signed in, and its second factor."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import Choices, Group, command, pass_choices
from vaultr.client.cli.sdk_session import opened
from vaultr.client.cli.step_up import proven
from vaultr.client.errors import NotFound, Refused, UsageError

if TYPE_CHECKING:
    from vaultr.client.account.sessions_and_factors import FactorInfo, SessionInfo, TotpBegun
    from vaultr.client.vaultr_client import Vaultr

# Dark on light, whatever the terminal's colours are: cameras want it so.
_DARK_ON_LIGHT = "\x1b[38;5;16m\x1b[48;5;231m"
_AS_BEFORE = "\x1b[0m"
# How often the app's first code is asked for; the secret that was scanned holds meanwhile.
_TRIES = 3
_NOT_THE_CODE = 422


@click.group("sessions", cls=Group, examples=("vaultr sessions list", "vaultr sessions revoke ID"))
def sessions() -> None:
    """List the devices that are signed in, and sign them out."""


@command("list", "vaultr sessions list", "vaultr sessions list --json")
@pass_choices
def list_sessions(choices: Choices) -> None:
    """List the live sessions, the newest first."""
    with opened(choices) as vaultr:
        found = vaultr.sessions()
    if choices.json:
        output.as_json([_session_json(each) for each in found])
        return
    head = ("DEVICE", "LAST USED", "FROM", "CLIENT", "ID")
    output.table(head, map(_session_row, found))


def _session_row(session: "SessionInfo") -> tuple[str, ...]:
    device = f"{session.device} (this one)" if session.current else session.device
    used = session.last_used_at.isoformat(sep=" ", timespec="minutes").replace("+00:00", "")
    return (device, used, session.address, session.client, str(session.id))


def _session_json(session: "SessionInfo") -> dict[str, Any]:
    return {
        "id": str(session.id),
        "device": session.device,
        "client": session.client,
        "address": session.address,
        "created_at": _moment(session.created_at),
        "last_used_at": _moment(session.last_used_at),
        "current": session.current,
    }


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@command("revoke", "vaultr sessions revoke 018f…", no_args_is_help=True)
@click.argument("session", metavar="ID", type=click.UUID)
@pass_choices
def revoke(choices: Choices, session: UUID) -> None:
    """Sign out one session: it is dead at its next request."""
    with opened(choices) as vaultr:
        try:
            vaultr.revoke_session(session)
        except NotFound as error:
            says = f"No live session of yours has the id {session}. See them: vaultr sessions list"
            raise NotFound(error.slug, error.status, says) from error
    output.result(choices.json, {"id": str(session), "revoked": True}, "That session has ended.")


for each in (list_sessions, revoke):
    sessions.add_command(each)


@click.group("totp", cls=Group, examples=("vaultr totp add", "vaultr totp codes"))
def totp() -> None:
    """Use an authenticator app as the second factor."""


@command("list", "vaultr totp list")
@pass_choices
def list_factors(choices: Choices) -> None:
    """Show which second factors the account has, and how many recovery codes are left."""
    with opened(choices) as vaultr:
        found = vaultr.factors()
    if choices.json:
        output.as_json([_factor_json(each) for each in found])
    elif found:
        head = ("FACTOR", "SINCE", "LEFT")
        output.table(head, map(_factor_row, found))
    else:
        output.tell("There is no second factor. Set one up: vaultr totp add")


def _factor_json(factor: "FactorInfo") -> dict[str, Any]:
    since = _moment(factor.created_at)
    return {"kind": factor.kind, "created_at": since, "left": factor.left}


def _factor_row(factor: "FactorInfo") -> tuple[str, ...]:
    left = "" if factor.left is None else str(factor.left)
    return (factor.kind, str(factor.created_at.date()), left)


@command("add", "vaultr totp add")
@pass_choices
def add_factor(choices: Choices) -> None:
    """Set up an authenticator app, and show ten recovery codes, once.

    The code on the terminal is for the app's camera; the secret below it can be typed instead.
    A code of the app confirms it, and is asked for again if it is mistyped. With --json the app's
    secret is the first answer, the code is one line of standard input, and the recovery codes are
    the second answer.
    """
    with opened(choices) as vaultr:
        proven(choices, vaultr)
        _show_begun(choices, vaultr.begin_totp())
        codes = _confirmed(choices, vaultr)
    _show_codes(choices, codes)


def _confirmed(choices: Choices, vaultr: "Vaultr") -> list[str]:
    """Confirm the app by its code; whoever mistypes it keeps the secret that was scanned."""
    for left in range(_TRIES - 1 if _asks(choices) else 0, -1, -1):
        try:
            return list(vaultr.confirm_totp(_code_of_app(choices)))
        except (UsageError, Refused) as error:
            mistyped = isinstance(error, UsageError) or error.status == _NOT_THE_CODE
            if not left or not mistyped:
                raise
            output.tell(f"{output.printable(str(error))} Type the one that the app shows now.")
    raise AssertionError("the last try returns or raises")


def _asks(choices: Choices) -> bool:
    return not choices.json and prompts.can_ask()


def _code_of_app(choices: Choices) -> str:
    if _asks(choices):
        text = prompts.ask_hidden("Code of the app")
    else:
        text = prompts.read_input_line(choices)
    code = "".join(text.split())
    if not code.isdecimal():
        raise UsageError("The code of the app is six digits.")
    return code


def _show_begun(choices: Choices, begun: "TotpBegun") -> None:
    if choices.json:
        output.as_json({"secret": begun.secret, "uri": begun.uri})
        return
    if output.is_terminal():
        # segno is needed for this alone.
        from vaultr.client.account import qr  # noqa: PLC0415 - late, see above

        for line in qr.lines(begun.uri):
            output.say(f"{_DARK_ON_LIGHT}{line}{_AS_BEFORE}")
    output.say(f"Secret: {begun.secret}")


def _show_codes(choices: Choices, codes: list[str]) -> None:
    if choices.json:
        output.as_json({"recovery_codes": codes})
        return
    output.say("Recovery codes, each good once in place of the app:")
    for code in codes:
        output.say(f"  {code}")
    output.say("Write them down now: they are shown this once.")


@command("codes", "vaultr totp codes")
@pass_choices
def renew_codes(choices: Choices) -> None:
    """Make ten new recovery codes; the old ones are void."""
    with opened(choices) as vaultr:
        proven(choices, vaultr)
        codes = vaultr.renew_recovery_codes()
    _show_codes(choices, list(codes))


@command("remove", "vaultr totp remove")
@pass_choices
def remove_factor(choices: Choices) -> None:
    """Remove the authenticator app, and the recovery codes with it."""
    with opened(choices) as vaultr:
        proven(choices, vaultr)
        vaultr.remove_totp()
    output.result(choices.json, {"removed": True}, "The second factor is removed.")


for each in (list_factors, add_factor, renew_codes, remove_factor):
    totp.add_command(each)
