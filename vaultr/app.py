"""`create_app`: the one module that knows every feature."""

import gc

_collecting = gc.isenabled()
gc.disable()  # imports make no garbage, yet looking for it would take a sixth of their time

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from click import Command
from flask import Blueprint, Flask, Response
from werkzeug.routing import BaseConverter, ValidationError

from vaultr.api import idempotency, kill_switches, operation, problems, security_headers
from vaultr.api.openapi import blueprint as openapi
from vaultr.audit import denied_requests, transaction_hooks
from vaultr.audit import service as audit
from vaultr.audit.routes import blueprint as audit_log
from vaultr.auth import account_deletion, credential_change, password_hashing, sessions
from vaultr.auth.admin.commands import accounts
from vaultr.auth.routes.blueprint import blueprint as auth
from vaultr.database import engine, schema_version
from vaultr.database.session import db
from vaultr.extensions import migrate
from vaultr.health import readiness
from vaultr.health.routes import blueprint as health
from vaultr.mail import sender
from vaultr.mail.commands import mail
from vaultr.observability import instrumentation, logs
from vaultr.ops.commands import db_status, ops
from vaultr.ops.doctor.command import doctor
from vaultr.ops.worker import worker
from vaultr.protocol.encoding import ID_PATTERN
from vaultr.ratelimit import middleware
from vaultr.security import access_tokens, authentication, keyring
from vaultr.settings.model import Settings
from vaultr.vault import key_wraps as vault_wraps
from vaultr.vault import vault_deletion
from vaultr.vault.routes.blueprint import blueprint as vaults
from vaultr.web.routes import blueprint as web
from vaultr.wire.field_types import MAX_INTEGER

if _collecting:
    gc.freeze()  # what was just made stays: the next look for garbage need not pass over all of it
    gc.enable()

BLUEPRINTS: tuple[Blueprint, ...] = (health, auth, audit_log, vaults, openapi, web)
COMMANDS: tuple[Command, ...] = (accounts, mail, worker, db_status, ops, doctor)


class Server(Flask):
    """Flask, but for what it does with OPTIONS and with coroutines."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Take each function as it is: none is a coroutine, and Flask would look at all of them.

        It looks at every hook on every request, which costs as much as reading the token.
        """
        return func

    def make_default_options_response(self) -> Response:
        """Answer 204 with Allow."""
        response = super().make_default_options_response()
        response.status_code = 204
        response.headers.pop("Content-Type", None)
        return response


class IdConverter(BaseConverter):
    """An id in a path: a lower-case UUID with dashes. Any other form is no route, so 404."""

    regex = ID_PATTERN

    def to_python(self, value: str) -> UUID:
        """Give the UUID."""
        return UUID(value)


class RevisionConverter(BaseConverter):
    """A revision in a path: a whole number from 1 on. Any other form is no route, so 404."""

    regex = "[1-9][0-9]{0,15}"
    schema: Final = {"type": "integer", "minimum": 1, "maximum": MAX_INTEGER}

    def to_python(self, value: str) -> int:
        """Give the number."""
        number = int(value)
        if number > MAX_INTEGER:
            raise ValidationError
        return number


def create_app(settings: Settings) -> Flask:
    """Build the server that ``settings`` describes; nothing else changes what comes out."""
    app = Server("vaultr", static_folder=None)
    app.config.from_mapping(settings.for_flask())
    app.url_map.converters["uuid"] = IdConverter
    app.url_map.converters["revision"] = RevisionConverter
    app.url_map.merge_slashes = False
    for part in (
        engine,
        schema_version,
        keyring,
        logs,
        problems,
        instrumentation,
        security_headers,
        access_tokens,
        readiness,
        transaction_hooks,
        denied_requests,
        sender,
        password_hashing,
    ):
        part.init_app(app, settings)
    migrate.init_app(app, db, directory=schema_version.folder(app))
    # Who asks; it refuses nobody yet.
    authentication.init_app(
        app, actor_of_session=sessions.actor_of, session_lives=sessions.lives(settings)
    )
    middleware.init_app(app, settings, on_denied=audit.count_denial)  # strangers and 404s too: 429
    kill_switches.init_app(app, settings)  # 503 before anybody is asked who they are
    authentication.close_door(app, on_denied=audit.count_denial)  # 401 unless @public
    operation.init_app(app, once=idempotency.once, on_refused=audit.record_refusal)
    credential_change.init_app(app, holders=(vault_wraps,))
    account_deletion.init_app(app, keepers=(vault_deletion,))
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    for group in COMMANDS:
        app.cli.add_command(group)
    operation.prepare(app)
    return app
