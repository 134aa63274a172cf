"""The floor: what the same database costs a bare view that speaks psycopg2 and checks nothing.

Run by gunicorn with the workers, threads and worker class of the server beside it.
"""

import base64
import json
import os
import threading

import psycopg2
from flask import Flask, Response, request

app = Flask("floor", static_folder=None)
_local = threading.local()


def connection():
    """Give this thread's own connection, in autocommit."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg2.connect(os.environ["FLOOR_DSN"])
        _local.connection.autocommit = True
    return _local.connection


def _text(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@app.get("/up")
def up():
    """Say that it answers."""
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
    """Fetch so many rows after a revision, and send them as JSON."""
    with connection().cursor() as cursor:
        cursor.execute(
            "SELECT id, type, revision, overview, detail FROM items"
            " WHERE vault_id = %s AND revision > %s ORDER BY revision LIMIT %s",
            (vault_id, int(request.args["after"]), int(request.args["limit"])),
        )
        found = cursor.fetchall()
    body = [
        {
            "id": str(one[0]),
            "type": one[1],
            "revision": one[2],
            "overview": _text(one[3]),
            "detail": _text(one[4]),
        }
        for one in found
    ]
    return Response(json.dumps(body), mimetype="application/json")
