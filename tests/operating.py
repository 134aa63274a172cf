"""What tests of operators' commands need: a schema that says its revision, a small web server."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa

from vaultr.database import revisions
from vaultr.database.session import db


@pytest.fixture
def migrated_to(app):
    """``migrated_to("0003")``: the database says that it has this revision."""

    def say(revision):
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
            connection.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
            insert = sa.text("INSERT INTO alembic_version VALUES (:revision)")
            connection.execute(insert, {"revision": revision})
        app.extensions["vaultr.readiness"].at = 0.0

    yield say
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    app.extensions["vaultr.readiness"].at = 0.0


@pytest.fixture
def migrated_to_newest(app, migrated_to):
    with app.app_context():
        newest = revisions.known()[-1]
    migrated_to(newest)


@pytest.fixture
def httpd():
    """``httpd(b"body")``: a server that answers that to everything; gives its address."""
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
