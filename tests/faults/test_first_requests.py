"""A new worker initialises at its first request only once, however many arrive together."""

import subprocess
import sys

from tests.harness import app_fixtures
from tests.harness.gunicorn_server import ROOT

# A separate process, because earlier tests have initialised everything in this one.
ASKING = """
from tests.harness.threads import at_once
from vaultr.api import openapi as openapi
from wsgi import app

make, made = openapi.document, []
openapi.document = lambda app: (made.append(app), make(app))[1]
print(*at_once(lambda _: app.test_client().get("/api/v1/openapi.json").status_code, 16), len(made))
"""


def test_all_first_requests_for_the_api_document_succeed(tmp_path):
    requested = subprocess.run(
        [sys.executable, "-c", ASKING],
        cwd=ROOT,
        env=app_fixtures.environ_for(tmp_path, LOG_LEVEL="ERROR"),
        capture_output=True,
        text=True,
    )

    assert requested.stdout.split() == ["200"] * 16 + ["1"], requested.stdout + requested.stderr
