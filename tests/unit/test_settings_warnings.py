"""Settings that are valid but probably a mistake."""

import pytest

from tests.harness.production_settings import PRODUCTION
from vaultr.settings.model import Settings
from vaultr.settings.warnings import warnings

GOOD = {
    **PRODUCTION,
    "TRUSTED_PROXIES": "1",
    "DATABASE_URL": "postgresql://u:p@db/vaultr?sslmode=verify-full",
    "REDIS_URL": "rediss://:p@cache:6380/0",
}


def found(environ):
    return warnings(Settings.from_environ(environ), environ)


def test_good_settings_have_no_warnings():
    assert found({**GOOD, "PATH": "/bin", "HOSTNAME": "x", "VAULTR_URL": "https://x"}) == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ACCESS_TOKEN_SECONDS", "59", "under 60"),
        ("TRUSTED_PROXIES", "0", "a proxy must terminate"),
        ("REDIS_URL", "redis://:p@cache:6379/0", "not encrypted"),
        ("REDIS_URL", "rediss://cache:6379/0", "no password"),
        ("DATABASE_URL", "postgresql://u:hunter2@db/vaultr", "no sslmode"),
        ("MIGRATION_DATABASE_URL", "postgresql://o:hunter2@db/vaultr", "no sslmode"),
        ("DATABASE_URLL", "hunter2", "did you mean DATABASE_URL?"),
        ("SMTP_PASSWORD", "hunter2", "did you mean SMTP_PASS?"),
        ("BIND", "0.0.0.0", "no port; add one, or set PORT, which is 3000 by default"),
        ("BIND", "::1", "no port"),
    ],
)
def test_probable_mistake_is_named_without_its_value(name, value, says):
    [warning] = found({**GOOD, name: value})

    assert warning.startswith(name)
    assert says in warning
    assert "hunter2" not in warning


@pytest.mark.parametrize(
    "changes",
    [
        {"REDIS_URL": "redis://127.0.0.1:6379/0"},
        {"REDIS_URL": "unix:///run/redis.sock"},
        {"DATABASE_URL": "postgresql://u@localhost/vaultr"},
        {"DATABASE_URL": "postgresql:///vaultr?host=/run/postgresql"},
    ],
)
def test_local_connections_without_tls_have_no_warning(changes):
    assert found({**GOOD, **changes}) == []


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"BIND": "0.0.0.0:8000"}, 0),
        ({"BIND": "[::1]:8000"}, 0),
        ({"BIND": "0.0.0.0", "PORT": "8000"}, 0),
        ({"BIND": "0.0.0.0:8000", "PORT": "8000"}, 0),
        ({"BIND": "0.0.0.0:8000", "PORT": "3000"}, 1),
    ],
)
def test_conflicting_bind_port_has_a_warning(changes, count):
    assert len(found({**GOOD, **changes})) == count
