"""The operations listed here need a step-up, and no others."""

import re

from tests.harness.app_routes import routes
from vaultr.api.operation import contract_of

# The only table of these operations.
STEP_UP = {
    "PUT /api/v1/auth/credentials",
    "POST /api/v1/auth/totp",
    "POST /api/v1/auth/totp/confirm",
    "DELETE /api/v1/auth/totp",
    "POST /api/v1/auth/recovery-codes",
    "PUT /api/v1/auth/recovery-key",
    "DELETE /api/v1/auth/recovery-key",
    "POST /api/v1/auth/email",
    "DELETE /api/v1/auth/account",
    "POST /api/v1/auth/logout-all",
    "POST /api/v1/machines",
    "PUT /api/v1/machines/:id",
    "DELETE /api/v1/machines/:id",
    "GET /api/v1/export",
    "DELETE /api/v1/vaults/:id",
    "POST /api/v1/vaults/:id/rotation",
    "POST /api/v1/vaults/:id/repair",
}


def operations(app):
    """List all operations in the form of the table, with their views."""
    for _, method, path, view in routes(app):
        yield f"{method} {re.sub('[0-9a-f-]{36}', ':id', path)}", view


def test_step_up_is_required_by_exactly_the_listed_operations(sqlite_app):
    ways = dict(operations(sqlite_app))
    asking = {
        way
        for way, view in ways.items()
        if (made := contract_of(view)) is not None and made.step_up
    }

    assert asking == STEP_UP


def test_step_up_operations_require_authentication(sqlite_app):
    open_ones = {
        way
        for way, view in operations(sqlite_app)
        if way in STEP_UP and getattr(view, "public", False)
    }

    assert open_ones == set()
