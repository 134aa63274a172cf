"""A minimal Flask app: the baseline for start-up time."""

import argon2  # noqa: F401 - as the server, it hashes
import flask_jwt_extended  # noqa: F401 - as the server, it signs
import flask_limiter  # noqa: F401 - as the server, it counts
import flask_sqlalchemy  # noqa: F401 - as the server, it keeps
import psycopg2  # noqa: F401 - as the server, it asks
from flask import Flask

app = Flask("baseline", static_folder=None)


@app.get("/")
def up():
    """Return a response."""
    return "up"
