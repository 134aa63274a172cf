"""Alerts of backups, evaluated by a real Prometheus that scrapes a running server."""

import pytest

from tests.harness import backups, metric_queries, servers
from tests.harness.gunicorn_server import running
from tests.harness.timing import until
from tests.rollout import live_prometheus
from tests.rollout.live_prometheus import Prometheus


@pytest.fixture
def server(tmp_path):
    """A server with metrics, whose backups are sealed for a key that its drill has."""
    home, folder = tmp_path / "home", tmp_path / "backups"
    home.mkdir()
    folder.mkdir()
    identity, recipient = backups.new_identity(tmp_path)
    more = {"BACKUP_RECIPIENT": recipient, "BACKUP_LOCATION": str(folder)}
    more |= {"BACKUP_IDENTITY_FILE": str(identity), "METRICS_PORT": str(servers.free_port())}
    with running(home, **more) as running_one:
        yield running_one


@pytest.fixture
def prometheus(server, tmp_path):
    with Prometheus(tmp_path / "prometheus", server.environ["METRICS_PORT"]) as found:
        yield found


def test_accelerated_rules_change_only_durations_and_thresholds():
    shipped = {one["alert"]: one for one in metric_queries.alerts()}
    loaded = {
        one["alert"]: one
        for group in live_prometheus.rules()["groups"]
        for one in group["rules"]
        if "alert" in one
    }

    assert loaded.keys() == shipped.keys()
    for name, one in loaded.items():
        assert {**one, "for": "", "expr": ""} == {**shipped[name], "for": "", "expr": ""}
    assert (shipped["VaultrBackupOld"]["for"], loaded["VaultrBackupOld"]["for"]) == ("10m", "10s")
    assert loaded["VaultrBackupOld"]["expr"] == "min(vaultr_backup_age_seconds) > (26 * 3600) / 60"
    assert loaded["VaultrAuditFaults"]["expr"] == (
        "sum by (kind) (increase(vaultr_audit_faults_total[60s])) > 0 or sum by (kind)"
        " (vaultr_audit_faults_total unless vaultr_audit_faults_total offset 60s) > 0"
    )
    assert loaded["VaultrAuditGrows"]["expr"] == (
        "sum(increase(vaultr_audit_sequenced_total[60s])) > (180000) / 60"
    )


def test_backup_alerts_fire_until_a_drill_succeeds(server, prometheus):
    expected = {"VaultrBackupOld", "VaultrDrillOld"}
    until(lambda: expected <= prometheus.firing(), within=120)

    made = server.command("backup", "create")
    only_made = prometheus.firing()
    drilled = server.command("backup", "drill", "--json")

    assert made.returncode == 0, made.stderr
    assert expected <= only_made
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    until(lambda: not expected & prometheus.firing(), within=120)
