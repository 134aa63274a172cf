"""Fixtures for API tests: hashes, Redis and locks may take any time."""

from contextvars import ContextVar

import pytest

from vaultr.database import engine
from vaultr.ratelimit import limiter


@pytest.fixture(scope="package", autouse=True)
def _patient_server():
    """Raise time limits: a real server waits 0.1 s for Redis, 2 s for a lock, 5 s for a statement.

    Next to other tests that is sometimes too short: responses were "busy", or requests were counted
    by the process. Tests of these limits set the real values.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limiter, "TIMEOUT_SECONDS", 30.0)
        patched.setattr(engine, "LOCK_SECONDS", 50.0)
        patched.setattr(engine, "STATEMENT_SECONDS", 60.0)
        patched.setattr(engine, "deadline", ContextVar("patient", default=65.0))
        yield


@pytest.fixture
def here(app):
    """Yield the app inside its context."""
    with app.app_context():
        yield app
