"""Code for separate processes: record events, sequence them, get killed at any step."""

import json
import os
import signal
import sys
import time
from uuid import UUID

import sqlalchemy as sa

from vaultr.app import create_app
from vaultr.audit import sequencer, service
from vaultr.audit.events import Event
from vaultr.audit.models import AuditPending
from vaultr.database import engine
from vaultr.database.session import db, reading, transaction
from vaultr.settings.model import Settings

ANN = UUID(int=1)


def app():
    """Build the app from the environment."""
    return create_app(Settings.from_environ(os.environ))


def record(count):
    """Record events, each in its own transaction."""
    with app().app_context():
        _record(count)


def _record(count):
    for _ in range(count):
        with transaction():
            service.record(Event.ITEM_WRITE, account_id=ANN)


def sequence(*, rounds=60, finish=True):
    """Run the job until no event waits and the last checkpoint is published."""
    with app().app_context():
        idle = 0
        for _ in range(rounds):
            more = sequencer.sequence()
            idle = 0 if more else idle + 1
            if finish and idle > 2:
                return
            time.sleep(0 if more else 0.6)


def killed_at_each_step(count, *, events=2, stream_alone=False):
    """Kill a sequencer ``count`` times, each time one step later.

    A step is a statement, a COMMIT, a write with a flush to disk, or a write to the stream. Print
    the kills and the number of steps.

    :param stream_alone: count only lines of the stream and writes of its position as steps.
    """
    server = app()
    step = most = kills = 0
    while kills < count:
        finished = _in_child(
            server, lambda at=step: _work(at, signal.SIGKILL, events, stream_alone=stream_alone)
        )
        if os.WIFSIGNALED(finished):
            kills, step, most = kills + 1, step + 1, max(most, step + 1)
        else:
            step = 0
    assert _in_child(server, lambda: _work(None, None)) == 0
    sys.stdout.write(json.dumps({"kills": kills, "steps": most}) + "\n")


def paused_beside_another(step):
    """Pause a sequencer at a step, let another one work, then resume it.

    ``step`` is that of `killed_at_each_step`. A paused transaction holds the lock, so it is ended
    from outside, as the database would end it when it has been idle for too long.
    """
    server = app()
    child = _fork(server, lambda: _work(step, signal.SIGSTOP))
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
    assert _in_child(server, _end_idle_transactions) == 0
    assert _in_child(server, lambda: _work(None, None)) == 0
    os.kill(child, signal.SIGCONT)
    assert os.waitpid(child, 0)[1] == 0
    assert _in_child(server, lambda: _work(None, None)) == 0


def _end_idle_transactions():
    with db.engine.connect() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state = 'idle in transaction'"
                " AND pid <> pg_backend_pid()"
            )
        )


def _in_child(server, act):
    return os.waitpid(_fork(server, act), 0)[1]


def _fork(server, act):
    child = os.fork()
    if child == 0:
        try:
            engine.after_fork(server)
            with server.app_context():
                act()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def _work(step, number, events=2, *, stream_alone=False):
    """Record events, and sequence until none waits; receive a signal at a step."""
    sequencer.SIGN_SECONDS = 0.0
    _record(events)
    if step is not None:
        _signal_at(step, number, stream_alone=stream_alone)
    for _ in range(200):
        try:
            sequencer.sequence()
        except sa.exc.DBAPIError:  # its transaction was ended from outside
            continue
        if sequencer.current().halted is not None:
            raise AssertionError(sequencer.current().halted)
        with reading() as session:
            waits = session.scalar(sa.select(sa.exists(sa.select(AuditPending.event_id))))
        if not waits:
            return
        time.sleep(0.05)
    raise AssertionError("events wait")


def _signal_at(step, number, *, stream_alone):
    left = [step]

    def count(*_args):
        left[0] -= 1
        if left[0] == -1:
            os.kill(os.getpid(), number)

    sys.stdout = _Counted(sys.stdout, count)
    os.pwrite = _counted(os.pwrite, count)
    if not stream_alone:
        sa.event.listen(db.engine, "before_cursor_execute", count)
        sa.event.listen(db.engine, "commit", count)
        os.fsync = _counted(os.fsync, count)


def _counted(function, count):
    def counted(*arguments):
        count()
        return function(*arguments)

    return counted


class _Counted:
    """A stdout that counts each write of the process."""

    def __init__(self, stream, count):
        self.write = stream.write
        self.flush = _counted(stream.flush, count)
