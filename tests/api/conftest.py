"""Fixtures for API tests: hashes, Redis and locks may take any time."""

from contextvars import ContextVar

import pytest

from vaultr.database import engine
from vaultr.ratelimit import limiter


@pytest.fixture(scope="package", autouse=True)
def _patient_server():
    """On a real server a request waits a tenth of a second for Redis, two for another's lock, and
    five for a statement.

    Here, beside other tests, that would be too short at times: answers were "busy", or counted by
    the process alone. What holds these limits themselves sets them as they are.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limiter, "TIMEOUT_SECONDS", 30.0)
        patched.setattr(engine, "LOCK_SECONDS", 50.0)
        patched.setattr(engine, "STATEMENT_SECONDS", 60.0)
        patched.setattr(engine, "deadline", ContextVar("patient", default=65.0))
        yield


@pytest.fixture
def here(app):
    """Yield the app inside of its context."""
    with app.app_context():
        yield app
