"""`flask doctor` about unencrypted connections: a problem if they may cross other networks."""

import pytest

from vaultr.ops.check_result import Level
from vaultr.ops.doctor.tls_severity import gravity


@pytest.mark.parametrize(
    ("host", "production", "level"),
    [
        ("db.example.org", True, Level.PROBLEM),
        ("10.0.0.7", True, Level.PROBLEM),
        ("fd00::7", True, Level.PROBLEM),
        ("postgres.vaultr", True, Level.PROBLEM),
        (None, True, Level.PROBLEM),
        ("postgres", True, Level.WARNING),  # of docker-compose.yml
        ("redis", True, Level.WARNING),
        ("db.example.org", False, Level.WARNING),
    ],
)
def test_unencrypted_local_connection_raises_no_alarm(host, production, level):
    assert gravity(host, production=production)("database", "in clear", "mend it").level is level
