"""Alerts of the audit log: cause each of them in a running system with a Prometheus.

Server, worker, sequencer, PostgreSQL with its roles and Redis run as in docker-compose.yml, and a
client writes and reads. Prometheus loads the shipped rules with waiting times divided by 60.
"""

import os
import re

import pytest

from tests.harness import app_fixtures, audit_rows
from tests.harness.servers import run_sql
from tests.harness.timing import until
from tests.rollout.game_day_site import System
from vaultr.database.session import db

# What the shortened windows and waiting times add up to, and what a busy machine may add.
WITHIN_SECONDS = 300
APP_INSERTS = "INSERT ON audit_event {} vaultr_app"
AUDIT = {
    "VaultrAuditUnavailable", "VaultrAuditLag", "VaultrAuditGrows", "VaultrAuditFaults",
    "VaultrAuditMissing", "VaultrAuditAnchorFails",
}  # fmt: skip
PENDING = "SELECT event_id FROM audit_pending ORDER BY event_id DESC LIMIT 1"


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """A running system with one client, whose database has no other writer."""
    folder = tmp_path_factory.mktemp("system")
    folder.chmod(0o755)
    before = os.environ["PATH"]
    with System(folder) as system:
        system.sign_up_clients(1)
        yield system
    os.environ["PATH"] = before


def sql(system, statement):
    """Run a statement as a superuser of the database."""
    return run_sql(re.sub("/postgres$", "/vaultr", system.site.postgres.url), statement)


def start_sequencer(system):
    system.site.start("sequencer", "sequencer", **system.settings("sequencer"))


def wait_until_resolved(system, name):
    """Pause the client, and wait until an alert no longer fires."""
    with system.clients[0].paused():
        system.pager.wait_for_end({name}, within=WITHIN_SECONDS)


def wait_until_firing(system, name):
    """Wait until an alert fires."""
    until(lambda: name in system.prometheus.firing(), within=WITHIN_SECONDS)


def test_unavailable_alert_fires_when_events_cannot_be_inserted(system):
    client = system.clients[0]
    wait_until_resolved(system, "VaultrAuditUnavailable")
    client.wait_for_more()
    sql(system, f"REVOKE {APP_INSERTS.format('FROM')}")

    wait_until_firing(system, "VaultrAuditUnavailable")
    written = len(client.stored)
    sql(system, f"GRANT {APP_INSERTS.format('TO')}")

    client.wait_for_more()
    assert len(client.stored) > written


def test_lag_alert_fires_without_sequencer(system):
    client = system.clients[0]
    wait_until_resolved(system, "VaultrAuditLag")
    system.site.stop("sequencer")
    client.wait_for_more()

    with client.paused():  # all pending events wait for the sequencer only
        wait_until_firing(system, "VaultrAuditLag")
    start_sequencer(system)

    wait_until_resolved(system, "VaultrAuditLag")


@pytest.mark.long  # its windows are a minute long
def test_anchor_alert_fires_when_anchor_folder_is_missing(system):
    wait_until_resolved(system, "VaultrAuditAnchorFails")
    away = system.elsewhere.with_name("unmounted")
    system.elsewhere.rename(away)

    wait_until_firing(system, "VaultrAuditAnchorFails")
    away.rename(system.elsewhere)


def test_fault_alert_fires_for_event_with_forged_mac(system):
    wait_until_resolved(system, "VaultrAuditFaults")
    system.site.stop("sequencer")
    system.clients[0].wait_for_more()
    sql(system, f"UPDATE audit_event SET mac = sha256(mac) WHERE event_id = ({PENDING})")

    start_sequencer(system)

    wait_until_firing(system, "VaultrAuditFaults")


@pytest.mark.long  # its windows are a minute long
def test_growth_alert_fires_above_event_threshold(system):
    wait_until_resolved(system, "VaultrAuditGrows")
    environ = system.site.environ("app", **system.settings("app")) | {"METRICS_PORT": "0"}
    app = app_fixtures.create_app(app_fixtures.Settings.from_environ(environ))

    with app.app_context():
        audit_rows.fill(4_000)  # within a second: 180,000 an hour are 3,000 a minute
        db.engine.dispose()

    wait_until_firing(system, "VaultrAuditGrows")


def test_missing_alert_fires_after_deletion_until_restart(system):
    client = system.clients[0]
    wait_until_resolved(system, "VaultrAuditMissing")
    system.site.stop("sequencer")
    client.wait_for_more()
    with client.paused():
        [(event,)] = sql(system, PENDING)
        for table in ("audit_pending", "audit_event"):
            sql(system, f"DELETE FROM {table} WHERE event_id = '{event}'")

    wait_until_firing(system, "VaultrAuditMissing")
    system.site.stop("app")
    system.site.start("app", "app", **system.settings("app"))
    start_sequencer(system)

    wait_until_resolved(system, "VaultrAuditMissing")
    client.wait_for_more()


@pytest.mark.long  # its windows are a minute long
def test_audit_alerts_resolve_when_causes_end(system):
    for name in AUDIT:
        wait_until_resolved(system, name)

    system.clients[0].wait_for_more()
