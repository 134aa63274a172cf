"""Fixtures for operator commands: a schema revision and a small web server."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa

from vaultr.database import schema_version
from vaultr.database.session import db
from vaultr.ops.check_result import Level


def bad(found):
    """Return the warnings and problems as (level, message); check that each has advice."""
    wrong = [one for one in found if one.level is not Level.OK]
    assert all(one.todo for one in wrong)
    return [(one.level.value, one.says) for one in wrong]


def in_production(settings, **more):
    """Return settings that are checked like production settings."""
    return settings.model_copy(update={"vaultr_env": "production", **more})


@contextlib.contextmanager
def schema_says(app, revision):
    """Store a schema revision in the database."""
    say_revision(app, revision)
    yield
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    app.extensions["health.readiness"].at = 0.0


def say_revision(app, revision):
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
        insert = sa.text("INSERT INTO alembic_version VALUES (:revision)")
        connection.execute(insert, {"revision": revision})
    app.extensions["health.readiness"].at = 0.0


@pytest.fixture
def migrated_to(app):
    """``migrated_to("0003")``: set the schema revision in the database."""
    with schema_says(app, "0001"):
        yield lambda revision: say_revision(app, revision)


@pytest.fixture
def migrated_to_newest(app, migrated_to):
    with app.app_context():
        newest = schema_version.known()[-1]
    migrated_to(newest)


@pytest.fixture
def httpd():
    """``httpd(b"body")``: start a server that always returns this body; return its URL."""
    started = []

    def serve(body, status=200):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in started:
        server.shutdown()
        server.server_close()
