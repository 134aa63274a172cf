"""The baseline: bare views over psycopg2, without checks, on the same database.

gunicorn runs it with the same workers, threads and worker class as the server.
"""

import base64
import contextlib
import json
import os
import threading
from datetime import UTC, datetime
from uuid import uuid4

import psycopg2
from flask import Flask, Response, request

from vaultr.audit import event_encoding as audit_rows
from vaultr.auth import sessions
from vaultr.vault import access, locking, write_sql

app = Flask("baseline", static_folder=None)
_local = threading.local()


def connection():
    """Return this thread's own connection, in autocommit."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg2.connect(os.environ["BASELINE_DSN"])
        _local.connection.autocommit = True
    return _local.connection


def _text(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@app.get("/up")
def up():
    """Report that the baseline is running."""
    return "up"


@app.get("/row/<vault_id>/<item_id>")
def row(vault_id, item_id):
    """Read one row by its key."""
    with connection().cursor() as cursor:
        cursor.execute(
            "SELECT id, type, revision, overview, detail FROM items"
            " WHERE vault_id = %s AND id = %s",
            (vault_id, item_id),
        )
        found = cursor.fetchone()
    body = {
        "id": str(found[0]),
        "type": found[1],
        "revision": found[2],
        "overview": _text(found[3]),
        "detail": _text(found[4]),
    }
    return Response(json.dumps(body), mimetype="application/json")


@app.get("/rows/<vault_id>")
def rows(vault_id):
    """Fetch up to ``limit`` rows after a revision, and send them as JSON."""
    with connection().cursor() as cursor:
        cursor.execute(
            "SELECT id, type, revision, overview, detail FROM items"
            " WHERE vault_id = %s AND revision > %s ORDER BY revision LIMIT %s",
            (vault_id, int(request.args["after"]), int(request.args["limit"])),
        )
        found = cursor.fetchall()
    body = [
        {
            "id": str(row[0]),
            "type": row[1],
            "revision": row[2],
            "overview": _text(row[3]),
            "detail": _text(row[4]),
        }
        for row in found
    ]
    return Response(json.dumps(body), mimetype="application/json")


@app.get("/overviews/<vault_id>")
def overviews(vault_id):
    """Fetch the first rows by id without their secret part, and send them as JSON."""
    with connection().cursor() as cursor:
        cursor.execute(
            "SELECT id, type, revision, overview FROM items"
            " WHERE vault_id = %s AND state = 'active' ORDER BY id LIMIT %s",
            (vault_id, int(request.args["limit"])),
        )
        found = cursor.fetchall()
    body = [
        {"id": str(row[0]), "type": row[1], "revision": row[2], "overview": _text(row[3])}
        for row in found
    ]
    return Response(json.dumps(body), mimetype="application/json")


@app.put("/put/<vault_id>/<account_id>/<item_id>")
def put(vault_id, account_id, item_id):
    """Replace an item with the same statements as the server, audit included."""
    values = {"vault_id": vault_id, "account": account_id, "item_id": item_id, **_drawn()}
    with _transaction() as cursor:
        cursor.execute(_LOCK, values)
        names = [column.name for column in cursor.description]
        found = dict(zip(names, cursor.fetchone(), strict=True))
        values |= found | {"n": found["revision"] + 1, "generation": 1}
        cursor.execute(_EVENT, values | _NO_DETAILS)
        cursor.execute(_REPLACE, values)
    return Response("{}", mimetype="application/json")


@app.put("/insert/<vault_id>")
def insert(vault_id):
    """Insert one row of the size of an item, and commit."""
    with _transaction() as cursor:
        cursor.execute(
            "INSERT INTO facts (name, value) VALUES (%s, %s)",
            (f"{vault_id}/{uuid4()}", os.urandom(700)),
        )
    return Response("{}", mimetype="application/json")


@contextlib.contextmanager
def _transaction():
    with connection().cursor() as cursor:
        cursor.execute("BEGIN")
        yield cursor
        cursor.execute("COMMIT")


# The server's lock statement also checks the session. Here no session is alive, at the same cost.
_OWNER = access.of_kind("account", sessions.SESSION_IS_LIVE)
_LOCK = locking.lock_script(_OWNER).driver_text
_REPLACE = write_sql.REPLACE.driver_text
_EVENT = audit_rows._POSTGRESQL
_NO_DETAILS = {"detail": None, "detail_salt": None}  # detail of the event: AUDIT_DETAIL is off


def _drawn():
    """Return random values for a write, without hashing or sealing."""
    now, event = datetime.now(UTC), str(uuid4())
    blob = b"\x01" + os.urandom(350)
    return {
        **dict.fromkeys(("overview", "detail"), blob),
        **dict.fromkeys(("prev", "content", "vouch", "mac", "head", "prev_hash"), blob[:32]),
        **dict.fromkeys(("audit_event_id", "event_id", "author_id", "sid"), event),
        **dict.fromkeys(("now", "t"), now),
        "op": "put",
        "type": "login",
        "size": 702,
        "added_bytes": 702,
        "content_revision": 1,
        "epoch": 0,
        "writer_id": os.urandom(16),
        "writer_seq": 0,
        "event_hash": os.urandom(32),
        "body": b"{" + b"x" * 600 + b"}",
        **dict.fromkeys(("sub", "act", "typ", "out"), "bench"),
    }
