"""Malformed requests get only responses of the OpenAPI document, and never a 500."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests import factories

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# Not ready without a migrated database; one ends the session; two compute costly hashes.
LEFT_OUT = ("/ready", "/logout", "/login", "/step-up")
COUNTED = ("anonymous", "signup", "login_address", "login_account", "refresh", "mail", "reads")


@pytest.fixture
def ann(app, set_to):
    set_to(app, **{f"limit_{name}": "1000000/60" for name in (*COUNTED, "writes", "changes")})
    with app.app_context():
        return factories.session(factories.owner("ann@example.org"))


def test_malformed_requests_get_documented_errors(app, ann, count):
    document = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)

    for found in document.get_all_operations():
        operation = found.ok()
        if not operation.path.endswith(LEFT_OUT):
            ask(operation, ann.headers, examples=count(3, many=300))


def ask(operation, headers, examples):
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def each(case):
        case.call_and_validate(headers=headers, checks=CHECKS)

    each()
