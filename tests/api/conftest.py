"""Fixtures for API tests: hashes, Redis and locks may take any time."""

from contextvars import ContextVar

import pytest
from argon2 import PasswordHasher

from vaultr.auth import password_hashing
from vaultr.database import engine
from vaultr.ratelimit import limiter

FULL_COST = password_hashing._LIVE


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


@pytest.fixture(scope="package", autouse=True)
def low_hash_cost(pytestconfig):
    """Hash with Argon2id at a low cost, except with ``--long``.

    Hashes would take a third of the time of these tests. Servers that tests start have the real
    cost, and so has a test with `full_hash_cost`.
    """
    with pytest.MonkeyPatch.context() as patched:
        if not pytestconfig.getoption("--long"):
            low = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
            patched.setattr(password_hashing, "_LIVE", low)
        yield


@pytest.fixture
def full_hash_cost(monkeypatch):
    """Hash at the cost that servers have."""
    monkeypatch.setattr(password_hashing, "_LIVE", FULL_COST)


@pytest.fixture
def here(app):
    """Yield the app inside its context."""
    with app.app_context():
        yield app
