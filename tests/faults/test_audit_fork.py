"""After a fork, no two processes share a chain."""

import subprocess
import sys

from tests.harness import app_fixtures, audit_log

# In a separate process, because a process with threads must not fork.
RECORD_IN_TWO_PROCESSES = """
import os, uuid
from vaultr.app import create_app
from vaultr.audit import service
from vaultr.audit.events import Event
from vaultr.database import engine
from vaultr.database.session import transaction
from vaultr.settings.model import Settings

app = create_app(Settings.from_environ(os.environ))

def record():
    with app.app_context(), transaction():
        service.record(Event.VAULT_CREATE, account_id=uuid.uuid4())

record()
child = os.fork()
if child == 0:
    engine.after_fork(app)
    record()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
record()
"""


def test_forked_child_uses_its_own_writers(tmp_path):
    environ = app_fixtures.environ_for(tmp_path)
    app = app_fixtures.built(environ)

    subprocess.run([sys.executable, "-c", RECORD_IN_TWO_PROCESSES], env=environ, check=True)

    with app.app_context():
        events = audit_log.events()
    parent, child, parent_again = (event.writer_id for event in events)
    assert parent == parent_again != child
    assert [event.writer_seq for event in events] == [1, 1, 2]
