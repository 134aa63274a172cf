"""`flask doctor` about unencrypted connections: a problem if they may cross other networks."""

import pytest

from vaultr.ops.check_result import Level
from vaultr.ops.doctor.tls_severity import severity


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
def test_unencrypted_connection_is_a_problem_unless_local(host, production, level):
    assert (
        severity(host, production=production)("database", "not encrypted", "fix it").level is level
    )
