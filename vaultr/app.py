"""`create_app`: the only module that knows every feature."""

import gc

_was_enabled = gc.isenabled()
gc.disable()  # Imports create no garbage; collections would make them a sixth slower.

from click import Command
from flask import Blueprint, Flask

from vaultr.api import (
    flask_tuning,
    host_check,
    idempotency,
    kill_switches,
    large_bodies,
    operation,
    problems,
    request_origin,
    route_converters,
    security_headers,
    unread_bodies,
)
from vaultr.api.contract import PROBE_PATHS
from vaultr.api.openapi import blueprint as openapi
from vaultr.audit import (
    anchors,
    checkpoints,
    denied_requests,
    self_audit,
    sequencer,
    transaction_hooks,
)
from vaultr.audit import service as audit
from vaultr.audit.commands import audit as audit_commands
from vaultr.audit.routes import blueprint as audit_log
from vaultr.auth import service as auth
from vaultr.auth.admin import queries as account_queries
from vaultr.auth.admin.commands import accounts
from vaultr.auth.routes.blueprint import blueprint as accounts_api
from vaultr.backup.canary_commands import canary
from vaultr.backup.commands import backup
from vaultr.breach import service as breach
from vaultr.breach.routes import blueprint as breach_api
from vaultr.database import engine, schema_version
from vaultr.database.session import db
from vaultr.export import service as export
from vaultr.export.routes import blueprint as export_api
from vaultr.extensions import migrate
from vaultr.health import service as health
from vaultr.health.routes import blueprint as probes
from vaultr.machines import service as machines
from vaultr.machines.routes import blueprint as machines_api
from vaultr.mail import service as mail
from vaultr.mail.commands import mail as mail_commands
from vaultr.observability import instrumentation, logs
from vaultr.ops.commands import db_status, ops
from vaultr.ops.doctor.command import doctor
from vaultr.ops.worker import worker
from vaultr.ratelimit import middleware as ratelimit
from vaultr.security import access_tokens, authentication, keyring, session_check
from vaultr.settings.model import Settings
from vaultr.vault import service as vault
from vaultr.vault.routes.blueprint import blueprint as vaults
from vaultr.web.routes import blueprint as web

if _was_enabled:
    gc.freeze()  # Exclude the objects created so far from garbage collection.
    gc.enable()

BLUEPRINTS: tuple[Blueprint, ...] = (
    probes,
    accounts_api,
    audit_log,
    vaults,
    machines_api,
    export_api,
    breach_api,
    openapi,
    web,
)
COMMANDS: tuple[Command, ...] = (
    accounts,
    audit_commands,
    backup,
    canary,
    mail_commands,
    worker,
    db_status,
    ops,
    doctor,
)


def create_app(settings: Settings) -> Flask:
    """Build the server from ``settings``, its only input."""
    app = flask_tuning.Server("vaultr", static_folder=None)
    app.config.from_mapping(settings.for_flask())
    route_converters.init_app(app)
    for part in (engine, schema_version, keyring, logs, problems):
        part.init_app(app, settings)
    instrumentation.init_app(
        app,
        engines=engine.engines(app),
        tables=frozenset(db.metadata.tables),
        quiet_paths=PROBE_PATHS,
    )
    for part in (
        unread_bodies,
        large_bodies,
        request_origin,
        host_check,
        security_headers,
        access_tokens,
        health,
        transaction_hooks,
        denied_requests,
        checkpoints,
        anchors,
        self_audit,
        sequencer,
        mail,
        export,
        breach,
    ):
        part.init_app(app, settings)
    auth.init_password_hashing(app, settings)
    migrate.init_app(app, db, directory=schema_version.folder(app))
    _connect(app, settings)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    for group in COMMANDS:
        app.cli.add_command(group)
    operation.prepare(app)
    return app


def _connect(app: Flask, settings: Settings) -> None:
    """Pass to each layer what it needs from higher layers, in the order of a request."""
    session_check.init_app(
        app, sessions=auth.session_check(settings), machines=machines.machine_check()
    )
    authentication.init_app(
        app,
        session_actor=auth.session_actor,
        machine_actors=machines.MACHINE_ACTORS,
        before_session=ratelimit.check_session,
        before_machine=ratelimit.check_address,
        on_denied=audit.count_denial,
    )
    ratelimit.init_app(app, settings, on_denied=audit.count_denial)  # 429, anonymous too
    kill_switches.init_app(app, settings)  # 503 comes before 401
    authentication.reject_anonymous(app)  # 401 unless the view is @public
    operation.init_app(
        app,
        operation.Hooks(
            record_error=audit.record_error,
            require_session=authentication.require_session,
            session_ended=ratelimit.session_ended,
            renew_machine=authentication.renew_machine,
        ),
    )
    account_queries.init_app(app, machines_of=machines.summaries)
    machines.init_app(app, delete_responses=idempotency.delete_responses)
    auth.init_key_rewrap(app, holders=(vault.KeyWraps, machines.MachineKeyWraps))
    auth.init_account_deletion(
        app, deleters=(vault.delete_all_of, machines.delete_all_of, idempotency.delete_responses)
    )
