"""`flask doctor`: all checks, even if the server itself cannot start."""

import os

import click
from flask import Flask
from flask.cli import ScriptInfo

from vaultr.database import engine
from vaultr.observability import logs
from vaultr.operator_cli import json_option, show
from vaultr.ops import check_result, smtp_check
from vaultr.ops.check_result import Check, CheckResult, ok, problem
from vaultr.ops.doctor import audit_log, database, external, server_keys, services, traces
from vaultr.settings.environment import InvalidSettings
from vaultr.settings.model import Settings

DATABASE_SECONDS = 10.0
IMPATIENT_SECONDS = 1.0  # for the checks after the database was found unavailable


@click.command("doctor")
@click.option(
    "--pods", default=2, type=click.IntRange(1, 1000), help="Number of web pods (default: 2)"
)
@click.option("--url", help="URL of the running server (default: BASE_URL)")
@json_option
@click.pass_context
def doctor(context: click.Context, *, pods: int, url: str | None, as_json: bool) -> None:
    """Check settings, keys, database, Redis, mail, clock, proxy, disk, worker, backups.

    Each problem says what to do. Exits with 1 if a check finds a problem; warnings exit with 0.

    Example: flask doctor --json
    """
    if url is not None and not url.startswith(("http://", "https://")):
        raise click.BadParameter("--url must begin with http:// or https://")
    found = _results(context.ensure_object(ScriptInfo), pods=pods, url=url)
    show(check_result.as_json(found), as_json=as_json, lines=lambda: check_result.lines(found))
    if not check_result.no_problems(found):
        raise SystemExit(1)


def _results(info: ScriptInfo, *, pods: int, url: str | None) -> list[CheckResult]:
    try:
        settings = Settings.from_environ(os.environ)
    except InvalidSettings as invalid:
        todo = "Fix this setting, then run `flask check`. Until then the server cannot start."
        return [problem("settings", text, todo) for text in invalid.problems]
    app: Flask = info.load_app()
    settings = app.config["SETTINGS"]
    logs.to_stderr()
    previous = engine.deadline.set(DATABASE_SECONDS)
    try:
        with app.app_context():
            no_problems = ok("settings", f"valid for {settings.vaultr_env}")
            return [no_problems, *check_result.run_checks(_checks(settings, pods=pods, url=url))]
    finally:
        engine.deadline.reset(previous)


def _shorten_deadline() -> None:
    engine.deadline.set(IMPATIENT_SECONDS)


def _checks(settings: Settings, *, pods: int, url: str | None) -> tuple[tuple[str, Check], ...]:
    return (
        ("secrets", lambda: server_keys.check(settings)),
        ("database", lambda: database.check(settings, pods=pods, on_away=_shorten_deadline)),
        ("secrets", lambda: server_keys.check_needed(settings)),
        ("redis", lambda: services.check_redis(settings)),
        ("mail", lambda: smtp_check.check("mail", settings)),
        ("clock", services.check_clock),
        ("proxy", lambda: external.check_proxy(settings, url or settings.base_url)),
        ("disk", lambda: external.check_disk(settings)),
        ("certificate", lambda: external.check_certificate(settings)),
        ("worker", lambda: services.check_worker(settings)),
        ("machines", services.check_machines),
        ("backup", lambda: services.check_backups(settings)),
        ("audit", lambda: audit_log.check(settings)),
        ("traces", lambda: traces.check(os.environ)),
    )
