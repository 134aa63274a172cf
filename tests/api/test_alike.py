"""Whether an address has an account shows neither in the work that is done nor in its order."""

from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from tests import factories
from tests.numbers import hashes
from vaultr.database.session import SINGLE, db


@contextmanager
def work_done(app):
    """Collect the statements that both engines run, and count the hashes."""
    statements = []

    def note(_connection, _cursor, statement, *_):
        statements.append(statement)

    with app.app_context():
        engines = (db.engine, app.extensions[SINGLE])
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    before = hashes()
    try:
        yield statements
    finally:
        statements.append(hashes() - before)
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)


REQUESTS = {
    "prelogin": lambda email: {"email": email},
    "login": lambda email: factories.login(email, key=b"w" * 32),
    "signup": factories.signup,
}


@pytest.mark.parametrize("route", REQUESTS)
def test_the_same_work_is_done_for_known_and_unknown_addresses(app, client, route):
    with app.app_context():
        factories.account("ann@example.org")
    done = []
    for email in ("warm@example.org", "ann@example.org", "bob@example.org"):
        with work_done(app) as statements:
            client.post(f"/api/v1/auth/{route}", json=REQUESTS[route](email))
        done.append(statements)

    _, known, unknown = done
    assert known == unknown
    assert len(known) > 1
    assert known[-1] == (0 if route == "prelogin" else 1)
