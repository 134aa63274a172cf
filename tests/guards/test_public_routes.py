"""Every endpoint rejects requests without authentication, except the public ones listed here."""

import re

import pytest

from tests.harness import app_fixtures
from tests.harness.app_routes import routes
from vaultr.api.contract import contract_of

# Pages and their assets: browsers request them, and they have no contract.
PAGES = {
    "web.asset",
    "web.cancel_recovery",
    "web.confirm_change",
    "web.confirm_email",
    "web.docs",
    "web.home",
    "web.press_cancel_recovery",
    "web.press_confirm_change",
    "web.press_undo_change",
    "web.undo_change",
    "web.verify_email",
}
PUBLIC = {
    "auth.cancel_recovery_by_token",
    "auth.complete_recovery",
    "auth.confirm_email_change",
    "auth.login",
    "auth.prelogin",
    "auth.recover",
    "auth.refresh",
    "auth.resend_verification",
    "auth.sign_up",
    "auth.start_recovery",
    "auth.undo_email_change",
    "auth.verify_email",
    "health.health",
    "health.ready",
    "openapi.openapi",
    *PAGES,
}
# Their responses depend on an email address; the time must not reveal whether it has an account.
ABOUT_ADDRESSES = {
    "auth.change_email",
    "auth.login",
    "auth.prelogin",
    "auth.recover",
    "auth.resend_verification",
    "auth.sign_up",
}
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


def test_public_endpoints_are_exactly_the_listed_ones(sqlite_app):
    public = {name for name, _, _, view in routes(sqlite_app) if getattr(view, "public", False)}

    assert public == PUBLIC


@pytest.mark.parametrize("token", [None, "rubbish", "a.b.c"])
def test_every_protected_endpoint_returns_401_without_authentication(sqlite_app, token):
    app_fixtures.empty(sqlite_app)
    anonymous = sqlite_app.test_client()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answers = {
        f"{method} {path}": anonymous.open(path, method=method, headers=headers, data=b"{").status
        for name, method, path, _ in routes(sqlite_app)
        if name not in PUBLIC
    }

    assert len(answers) > 10
    assert {name: status for name, status in answers.items() if status[:3] != "401"} == {}


def test_every_route_but_a_page_has_a_contract(sqlite_app):
    without = {name for name, _, _, view in routes(sqlite_app) if contract_of(view) is None}

    assert without == PAGES


def test_address_routes_respond_at_quantised_times(sqlite_app):
    even = {name for name, _, _, view in routes(sqlite_app) if getattr(view, "even", False)}
    asking = {
        name
        for name, _, _, view in routes(sqlite_app)
        if (contract := contract_of(view)) and "email" in getattr(contract.body, "model_fields", {})
    }

    assert even == asking == ABOUT_ADDRESSES


def test_vault_routes_count_as_write_or_read(sqlite_app):
    meant = {
        f"{method} {path}": ("write" if method in CHANGING else "read", contract_of(view).access)
        for name, method, path, view in routes(sqlite_app)
        if name.startswith("vaults.")
    }

    assert {path: pair for path, pair in meant.items() if len(set(pair)) > 1} == {}


def test_account_route_that_writes_counts_as_write(sqlite_app):
    meant = {
        f"{method} {path}": ("write" if method in CHANGING else None, contract_of(view).access)
        for name, method, path, view in routes(sqlite_app)
        if name.startswith("auth.") and name not in PUBLIC
    }

    assert {path: pair for path, pair in meant.items() if len(set(pair)) > 1} == {}


def test_no_path_ends_with_a_slash(sqlite_app):
    assert [
        path for _, _, path, _ in routes(sqlite_app) if path.endswith("/") and path != "/"
    ] == []


def test_every_id_in_a_path_is_a_uuid(sqlite_app):
    rules = {rule.rule for rule in sqlite_app.url_map.iter_rules()}

    loose = {rule for rule in rules if re.search(r"<(?!uuid:)\w*_id>|<(string|path|int):", rule)}
    assert loose == set()
