"""`flask ops`: switches, daily checks and cleanup; and `flask db-status`."""

from pathlib import Path
from typing import Final

import click
from flask.cli import AppGroup, with_appcontext

from vaultr import operator_cli
from vaultr.api import kill_switches
from vaultr.api.kill_switches import NAMES
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.database import engine, schema_version
from vaultr.database.session import transaction
from vaultr.operator_cli import command, json_option, show
from vaultr.ops import check_result, daily_checks, purge
from vaultr.settings.model import current_settings

ops = AppGroup("ops", help="Kill switches, daily checks and cleanup.")

ANSWER_SECONDS: Final = 5.0
PENDING, INCOMPATIBLE = 3, 4
_LONGEST_TEXT: Final = 200


@ops.group("switch", invoke_without_command=True)
@json_option
@click.pass_context
def switch(context: click.Context, *, as_json: bool) -> None:
    """Switch a feature off or on, or show all switches.

    Changes take effect in all processes within 5 seconds.

    Example: flask ops switch writes off
    """
    if context.invoked_subcommand is None:
        context.invoke(_show_switches, as_json=as_json)


@with_appcontext
@command
def _show_switches(*, as_json: bool) -> None:
    off = kill_switches.read()
    found = [{"switch": n, "state": _state(n, off=n in off), "text": off.get(n)} for n in NAMES]
    lines = [
        f"{switch['switch']:12} {switch['state']:4} {switch['text'] or ''}".rstrip()
        for switch in found
    ]
    show(found, as_json=as_json, lines=lambda: lines)


def _state(name: str, *, off: bool) -> str:
    """Return on or off. Requests are rejected while maintenance is on, or a feature is off."""
    return "on" if off is (name == "maintenance") else "off"


def _feature(name: str, what: str) -> None:
    """Add the command that switches one feature."""

    @operator_cli.option
    @json_option
    @command
    def change(state: str, *, by: str, as_json: bool) -> None:
        _set(name, off=state == "off", text=None, by=by, as_json=as_json)

    change.__doc__ = f"Accept {what} (on), or reject them with 503 switched-off (off)."
    takes = click.argument("state", type=click.Choice(["on", "off"]))
    switch.command(name)(with_appcontext(takes(change)))


_feature("signup", "new accounts")
_feature("writes", "changes")
_feature("machines", "requests from machines")


@switch.command("maintenance")
@click.argument("text")
@operator_cli.option
@json_option
@with_appcontext
@command
def maintenance(text: str, *, by: str, as_json: bool) -> None:
    """Reject all requests and show TEXT as the reason; `off` ends this.

    Example: flask ops switch maintenance 'Back at 14:00 UTC.'
    """
    words = text.strip()
    if not words or len(words) > _LONGEST_TEXT or not words.isprintable():
        raise click.BadParameter(f"must be one line of 1 to {_LONGEST_TEXT} characters, or off")
    off = words.lower() != "off"
    _set("maintenance", off=off, text=words if off else None, by=by, as_json=as_json)


def _set(name: str, *, off: bool, text: str | None, by: str, as_json: bool) -> None:
    try:
        with transaction():
            changed = (
                kill_switches.switch_off(name, by=by, text=text)
                if off
                else kill_switches.switch_on(name)
            )
            if changed:
                obj = {"kind": "switch", "id": name, "to": _state(name, off=off)}
                audit.record(Event.ADMIN_SWITCH, account_id=None, obj={**obj, "operator": by})
    finally:
        audit.stop()
    state = _state(name, off=off)
    answer = {"switch": name, "state": state, "text": text, "changed": changed}
    note = "within 5 seconds everywhere" if changed else "unchanged"
    show(answer, as_json=as_json, lines=lambda: [f"{name}: {state} ({note})"])


@ops.command("cleanup")
@click.option("--dry-run", is_flag=True, help="Count only; delete nothing")
@json_option
@command
def clean_up(*, dry_run: bool, as_json: bool) -> None:
    """Delete expired rows: sessions, signups, tokens, responses, counters, old emails.

    Deletes in batches, so that no request waits. The worker does the same every hour.

    Example: flask ops cleanup --dry-run
    """
    removed = purge.counted() if dry_run else purge.done()
    word = "would be removed" if dry_run else "removed"
    answer = {"dry_run": dry_run, "removed": removed, "total": sum(removed.values())}
    show(
        answer,
        as_json=as_json,
        lines=lambda: [f"{n:8} {kind} {word}" for kind, n in removed.items()],
    )


@ops.command("daily")
@click.option("--url", help="Server to check (default: BASE_URL)")
@click.option(
    "--metrics", multiple=True, help="URL of /metrics of a pod, or of all pods (repeatable)"
)
@click.option("--mail-to", metavar="ADDRESS", help="Address of a sink that receives a test email")
@click.option(
    "--log", "logs", multiple=True, type=click.Path(path_type=Path), help="Log file (repeatable)"
)
@json_option
@command
def check_daily(
    *,
    url: str | None,
    metrics: tuple[str, ...],
    logs: tuple[Path, ...],
    mail_to: str | None,
    as_json: bool,
) -> None:
    """Run the five daily checks: health, errors, backup, limits, mail.

    Exits with 1 if a check finds a problem. The error rate is read from --metrics or --log, or else
    from METRICS_PORT of this machine; if none of them can be read, `not_judged` lists `errors`.

    Example: flask ops daily --json --metrics http://127.0.0.1:9464/metrics
    """
    settings = current_settings()
    for address in (*metrics, *([url] if url else ())):
        if not address.startswith(("http://", "https://")):
            raise click.BadParameter("--url and --metrics must begin with http:// or https://")
    sources = daily_checks.Sources(url or settings.base_url, metrics, logs, mail_to)
    found = list(check_result.run_checks(daily_checks.checks(sources)))
    show(check_result.as_json(found), as_json=as_json, lines=lambda: check_result.lines(found))
    if not check_result.no_problems(found):
        raise SystemExit(1)


@click.command("db-status")
@json_option
@with_appcontext
@command
def db_status(*, as_json: bool) -> None:
    """Show the schema revision of the database, and the newest one that this code knows.

    Exits with 0 if they match, 3 if migrations are pending (`flask db upgrade`), 4 if this code
    cannot work with the schema, 1 if the database does not respond.

    Example: flask db-status --json
    """
    try:
        status = schema_version.status(schema_version.read_state(ANSWER_SECONDS))
    except engine.DatabaseUnavailable:
        raise click.ClickException("the database does not respond; run `flask doctor`") from None
    answer = {
        "current": status.current,
        "head": status.head,
        "pending": list(status.pending),
        "compatible": status.compatible,
    }
    lines = [f"schema {status.current or 'none'}, newest known {status.head}"]
    if status.pending:
        pending = ", ".join(status.pending)
        lines.append(f"pending: {pending}; run `flask db upgrade` as the owner of the tables")
    if not status.compatible:
        lines.append("this code is too old for the schema: start a newer version")
    show(answer, as_json=as_json, lines=lambda: lines)
    if not status.compatible:
        raise SystemExit(INCOMPATIBLE)
    if status.pending:
        raise SystemExit(PENDING)
