"""The whole server with a few extra routes for tests of the HTTP layer."""

from contextlib import contextmanager
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, Response

from tests.harness import app_fixtures
from vaultr.api.contract import public
from vaultr.api.operation import Answer, operation
from vaultr.app import create_app
from vaultr.database.session import db, fact, reading, transaction
from vaultr.errors import Conflict, FieldError, NotFound
from vaultr.extensions import limiter
from vaultr.ratelimit import limiter as guard
from vaultr.ratelimit import middleware
from vaultr.request_context import current_origin
from vaultr.settings.model import Settings
from vaultr.wire.field_types import Id, In, Int, Out, Query

blueprint = Blueprint("small", __name__, url_prefix="/api/v1/small")
called = []
VAULT = UUID("0a1b2c3d-0000-4000-8000-00000000000f")


class Word(In):
    word: str
    number: Int = 0
    id: Id | None = None


class Wanted(Query):
    limit: int = 10
    kind: str | None = None


class Echo(Out):
    word: str


class Unwritable(Conflict):
    """This error cannot be recorded."""

    slug = "unwritable"


@blueprint.post("/word")
@public
@operation(body_bytes=2000)
def word(*, body: Word) -> Echo:
    called.append(body)
    return Echo(word=body.word)


@blueprint.put("/closed/<uuid:thing>")
@operation(step_up=True, access="write")
def closed(thing: UUID, *, body: Word) -> None:
    called.append(body)
    raise NotFound


@blueprint.put("/in/<uuid:vault_id>")
@operation(access="write")
def batch(vault_id: UUID, *, body: Word) -> None:
    middleware.count_more_writes(body.number)


@blueprint.put("/proven/<uuid:thing>")
@operation(checks_session=True)
def proven(thing: UUID, *, body: Word) -> None:
    raise NotFound


@blueprint.get("/wanted")
@public
@operation()
def wanted(*, query: Wanted) -> Echo:
    return Echo(word=f"{query.limit}{query.kind}")


@blueprint.post("/nothing")
@public
@operation()
def nothing() -> None:
    called.append(None)


@blueprint.get("/accepted")
@public
@operation(statuses=(202,))
def accepted() -> None:
    """Return a status without a body."""


@blueprint.get("/made")
@public
@operation(returns=Echo, statuses=(201,))
def made() -> Answer:
    return Answer(Echo(word="new"), 201, {"ETag": '"7"'})


@blueprint.get("/refused")
@public
@operation(errors=(Conflict,))
def rejected() -> None:
    faults = [FieldError("/word", "too long")]
    raise Conflict(
        "No.", errors=faults, members={"revision": 7, "status": 200}, headers={"X-A": "b"}
    )


@blueprint.get("/breaks")
@public
@operation()
def breaks() -> None:
    raise RuntimeError("hunter2")


@blueprint.get("/unwritable")
@public
@operation()
def unwritable() -> None:
    raise Unwritable(members={"thing": object()})


@blueprint.get("/page")
@public
def page() -> Response:
    return Response("<!doctype html><title>Vaultr</title>", mimetype="text/html")


@blueprint.get("/origin")
@public
@operation()
def origin() -> None:
    called.append(current_origin().address)


@blueprint.get("/limited")
@limiter.limit(middleware.by_address(lambda settings: settings.limit_signup))
@public
@operation()
def limited() -> None:
    """Count requests by address with the route's own limit."""


@blueprint.post("/contended")
@public
@operation()
def is_contention() -> None:
    called.append(None)
    with transaction() as session:
        if db.engine.dialect.name == "postgresql" and len(called) < blueprint.succeeds_at:
            session.execute(
                sa.text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$")
            )


blueprint.succeeds_at = 0


@blueprint.get("/fact/<name>")
@public
@operation()
def drawn(name: str) -> Echo:
    return Echo(word=fact(name, lambda: b"drawn").decode())


@blueprint.get("/asks")
@public
@operation()
def asks() -> Echo:
    with reading() as session:
        return Echo(word=session.scalar(sa.text("SELECT 'x'")))


@contextmanager
def server(home, **more):
    """Yield a server with these routes, on SQLite by default, before any call."""
    called.clear()
    app = create_app(Settings.from_environ(app_fixtures.environ_for(home, **more)))
    app.register_blueprint(blueprint)
    with app.app_context():
        db.create_all()
    yield app
    # Otherwise its thread would keep trying a stopped Redis, and log that during the next test.
    guard.init_app(app, guard.FallbackLimiter(None, 1))
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
