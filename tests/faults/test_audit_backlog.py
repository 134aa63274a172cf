"""An installation with a million unsequenced events starts its sequencer."""

import json
import os
import subprocess
import sys

import pytest

from tests import factories
from tests.harness import app_fixtures, audit_rows, servers
from vaultr.audit import checkpoints
from vaultr.database.session import db

MOST_MEBIBYTES = 200
SEQUENCE = (
    "import json, resource\n"
    "from tests.harness import audit_steps\n"
    "audit_steps.sequence(rounds=100_000)\n"
    "print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))"
)
VERIFY = (
    "import json, resource\n"
    "from tests.harness import audit_steps\n"
    "with audit_steps.app().app_context():\n"
    "    from vaultr.audit.verification import run\n"
    "    from vaultr.security import keyring\n"
    "    found, _ = run.verify(run.Options(keys=keyring.current().audit.keys.by_id))\n"
    "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
    "print(json.dumps([found.exit_code, found.events, peak]))"
)


def printed(environ, code):
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
def test_million_pending_events_block_no_writer(postgres_url, tmp_path):
    wanted = int(os.environ.get("TEST_AUDIT_EVENTS", "1000000"))
    url = servers.fresh_database(postgres_url)
    limits = {"AUDIT_LAG_WARN": "1", "AUDIT_LAG_DEGRADED": "1", "AUDIT_LAG_REFUSE": "1"}
    environ = app_fixtures.environ_for(tmp_path, DATABASE_URL=url, **limits)
    app = app_fixtures.built(environ)
    with app.app_context():
        audit_rows.fill(wanted)
        session = factories.session(factories.owner("ann@example.org"))
        checkpoints.forget()
    during = app.test_client().post("/api/v1/auth/logout", headers=session.headers)
    with app.app_context():
        db.engine.dispose()

    sequencer = printed(environ, SEQUENCE)
    exit_code, events, verifier = printed(environ, VERIFY)

    assert during.status_code == 204
    assert exit_code == 0
    assert events >= wanted
    assert sequencer < MOST_MEBIBYTES
    assert verifier < MOST_MEBIBYTES
