"""Switched-off features are rejected, and everything else works."""

import pytest

from tests import factories
from tests.harness import app_fixtures, outbox
from vaultr.api import kill_switches
from vaultr.observability import metrics
from vaultr.ops import gauges


@pytest.fixture
def off(app):
    """``off("writes")``: switch a feature off for all requests from now on."""

    def switch(name, text=None):
        with app.app_context():
            kill_switches.switch_off(name, by="ann", text=text)
            kill_switches.forget()

    return switch


def problem(response):
    return response.status_code, response.json["type"].removeprefix("urn:vaultr:problem:")


def test_error_names_the_switch_and_retry_time(client, off):
    off("signup")

    response = client.post("/api/v1/auth/signup", json=factories.signup())

    assert problem(response) == (503, "switched-off")
    assert response.json["detail"] == "Sign-up is switched off at the moment. Try again later."
    assert response.headers["Retry-After"] == "60"


def test_login_works_while_signups_are_off(app, client, off):
    with app.app_context():
        factories.account()
    off("signup")

    assert client.post("/api/v1/auth/login", json=factories.login()).status_code == 200


def test_read_only_mode_changes_only_sessions(app, as_ann, off):
    with app.app_context():
        factories.account("cid@example.org")
        vault = factories.vault()
        item = factories.item(vault)
    off("writes")

    assert as_ann.get(item.path).status_code == 200
    for method, path in (
        *(
            ("PUT", item.path),
            ("POST", f"{item.path}/trash"),
            ("DELETE", f"/api/v1/vaults/{vault.id}"),
        ),
        *(
            ("POST", "/api/v1/vaults"),
            ("PUT", "/api/v1/auth/profile"),
            ("POST", "/api/v1/auth/signup"),
        ),
    ):
        assert problem(as_ann.open(path, method=method)) == (503, "switched-off"), path
    session = app.test_client().post("/api/v1/auth/login", json=factories.login("cid@example.org"))
    assert session.status_code == 200
    token = session.json["refresh_token"]
    assert as_ann.post("/api/v1/auth/refresh", json={"refresh_token": token}).status_code == 200
    assert as_ann.post("/api/v1/auth/logout").status_code == 204


def test_writes_allowed_in_read_only_mode_are_existing_routes(app):
    named = {
        rule.endpoint for rule in app.url_map.iter_rules() if rule.methods & {"POST", "DELETE"}
    }

    assert named >= kill_switches.WRITES_ALLOWED_READ_ONLY


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   ", "Bearer \t"])
def test_machines_switch_rejects_only_machine_tokens(client, as_ann, off, scheme):
    off("machines")
    machine = {"Authorization": f"{scheme}vma_0a1b2c3d-0000-4000-8000-00000000000f_abc"}

    assert problem(client.get("/api/v1/vaults", headers=machine)) == (503, "switched-off")
    assert as_ann.get("/api/v1/vaults").status_code == 200


def test_maintenance_shows_its_text_and_probes_respond(client, as_ann, off):
    off("maintenance", "Back at 14:00 UTC.")

    for path in ("/api/v1/vaults", "/api/v1/openapi.json", "/verify-email", "/api/v1/nowhere"):
        response = as_ann.get(path)
        assert problem(response) == (503, "switched-off"), path
        assert response.json["detail"] == "Back at 14:00 UTC."
    assert client.get("/api/health").data == b'{"status":"healthy"}'


def test_kill_switch_is_checked_after_host_and_rate_limit(app, client, off, set_to):
    off("maintenance", "Later.")
    set_to(app, limit_anonymous="1/3600")

    foreign = client.get("/api/v1/vaults", headers={"Host": "elsewhere.example"})
    anonymous = client.put("/api/v1/auth/profile", data=b"{", headers={"Content-Type": "x/y"})
    too_many = client.get("/api/v1/vaults")

    assert problem(foreign) == (400, "host-unknown")
    assert problem(anonymous) == (503, "switched-off")
    assert problem(too_many) == (429, "rate-limited")


def test_metrics_show_switched_off_features(app, off):
    off("writes")
    with app.app_context():
        gauges.measure()

    shown = {
        name: metrics.SWITCHED_OFF.labels(name).metric._value.get() for name in kill_switches.NAMES
    }
    assert shown == {"signup": 0, "writes": 1, "machines": 0, "maintenance": 0}


def test_readiness_shows_switched_off_features_and_stays_ready(
    app, client, off, migrated_to_newest
):
    off("writes")
    off("signup")
    app.extensions["health.readiness"].at = 0.0

    answer = client.get("/api/ready")

    assert answer.status_code == 200
    assert answer.json == {"ready": True, "degraded": [], "switched_off": ["signup", "writes"]}


def test_kill_switches_keep_last_state_during_database_outage(app, client, off, monkeypatch):
    off("signup")
    assert client.post("/api/v1/auth/signup", json={}).status_code == 503
    with app.app_context():
        kill_switches.forget()
    monkeypatch.setattr(
        kill_switches, "_READ", kill_switches.sa.text("SELECT name, text FROM nowhere")
    )

    assert client.post("/api/v1/auth/signup", json={}).status_code == 503


def test_requests_work_after_feature_is_switched_on(app, client, off):
    off("maintenance", "Later.")
    with app.app_context():
        assert kill_switches.switch_on("maintenance") is True
        assert kill_switches.switch_on("maintenance") is False
        kill_switches.forget()

    assert client.get("/api/v1/openapi.json").status_code == 200


def test_switch_off_with_same_text_changes_nothing(app):
    with app.app_context():
        assert kill_switches.switch_off("maintenance", by="ann", text="A.") is True
        assert kill_switches.switch_off("maintenance", by="bob", text="A.") is False
        assert kill_switches.switch_off("maintenance", by="bob", text="B.") is True
        assert kill_switches.read() == {"maintenance": "B."}
    app_fixtures.empty(app)


def test_confirmation_while_signup_is_off_returns_503(app, client, off):
    client.post("/api/v1/auth/signup", json=factories.signup())
    token = outbox.tokens(app)[-1]
    off("signup")

    answers = [
        client.post("/api/v1/auth/verify-email", json={"token": token}),
        client.post("/verify-email", data={"token": token}),
    ]

    assert [problem(one) for one in answers] == [(503, "switched-off")] * 2
    assert client.get("/verify-email", query_string={"token": token}).status_code == 200
