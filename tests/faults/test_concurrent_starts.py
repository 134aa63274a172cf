"""Processes that start together in an empty folder agree on what the first one creates."""

import subprocess
import sys

from tests.harness import forked_programs
from tests.harness.gunicorn_server import ROOT

STARTERS = 8
# Everything slow is loaded first; then all are released at the same moment.
STARTING = """
import hashlib, sys
import vaultr.app
print("there", flush=True)
sys.stdin.readline()
from wsgi import app
from vaultr.security import keyring as keys
from vaultr.database.session import db
with app.app_context():
    with db.engine.connect() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    ring = keys.current().jwt.keys.by_id
print(mode, *(hashlib.sha256(key).hexdigest() for key in ring.values()))
"""


def test_concurrent_starts_use_the_same_keys_and_database(tmp_path):
    environ = {"VAULTR_HOME": str(tmp_path / "home"), "LOG_LEVEL": "ERROR"}
    starting = [
        forked_programs.start(
            [sys.executable, "-c", STARTING],
            cwd=ROOT, env=environ, code_of="server", text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(STARTERS)
    ]  # fmt: skip
    assert [one.stdout.readline() for one in starting] == ["there\n"] * STARTERS
    for one in starting:
        one.stdin.write("go\n")
        one.stdin.flush()

    output = [one.communicate(timeout=120) for one in starting]

    assert [one.returncode for one in starting] == [0] * STARTERS, output
    assert len({out for out, _ in output}) == 1, output
    mode, *keys = output[0][0].split()
    assert mode == "wal"
    assert len(keys) == 1
