"""The sequencer is killed or paused at any step: the log stays intact and has one history."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.harness import app_fixtures, audit_log, forked_programs, servers
from vaultr.audit import checkpoints, sequencer, service, state_file
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent, AuditLeaf
from vaultr.audit.verification import run
from vaultr.database.session import db, reading, transaction
from vaultr.security import keyring

ANN = UUID(int=1)


@pytest.fixture(params=["postgresql", pytest.param("sqlite", marks=pytest.mark.long)])
def site(request, tmp_path):
    """An app on a separate database, with an anchor file and a stream of events."""
    more = {"AUDIT_ANCHORS": (tmp_path / "anchors").as_uri(), "AUDIT_STREAM": "stdout"}
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        more["DATABASE_URL"] = servers.fresh_database(url)
    environ = app_fixtures.environ_for(tmp_path, **more)
    app = app_fixtures.built(environ)
    app.environ, app.anchors = environ, tmp_path / "anchors"
    with app.app_context():
        yield app
        db.engine.dispose()


def step(site, code):
    """Run a step of `audit_steps` in a separate process, and return its output."""
    done = forked_programs.run(
        [sys.executable, "-c", f"from tests.harness import audit_steps; audit_steps.{code}"],
        env=forked_programs.own_environ() | site.environ, code_of="server",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_whole(site):
    """Verify the log with its anchors: nothing is lost, duplicated or signed twice."""
    notes = [json.loads(line) for line in site.anchors.read_text().splitlines()]
    keys = keyring.current().audit.keys.by_id
    found, _ = run.verify(run.Options(keys=keys, anchors=[*notes, state_file.read()]))
    assert (found.exit_code, found.listed) == (0, [])
    with reading() as session:
        assert state_file.read() == checkpoints.newest(session).note
        assert found.events == session.scalar(sa.select(sa.func.count(AuditEvent.event_id)))


def test_killed_sequencer_leaves_complete_log(site, count):
    wanted = count(3, many=100)

    *lines, last = step(site, f"killed_at_each_step({wanted})").splitlines()

    assert json.loads(last)["kills"] == wanted
    check_whole(site)
    check_stream(lines, wanted)


def check_stream(lines, kills):
    """Check that each event was written, repeated only with a mark and once for each kill."""
    shown = [json.loads(line) for line in lines if line.startswith('{"epoch"')]
    events = {(one["epoch"], one["index"]): one["event"]["eid"] for one in shown}
    with reading() as session:
        query = sa.select(AuditLeaf.epoch, AuditLeaf.idx, AuditLeaf.event_id)
        stored = {(epoch, idx): str(event_id) for epoch, idx, event_id in session.execute(query)}
    assert events == stored
    assert all(events[one["epoch"], one["index"]] == one["event"]["eid"] for one in shown)
    certain = [(one["epoch"], one["index"]) for one in shown if "again" not in one]
    assert len(certain) == len(set(certain))
    assert len(shown) - len(certain) <= kills


@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
def test_killed_stream_repeats_one_marked_line_at_most(site, count):
    wanted = count(6, many=60)

    *lines, _ = step(
        site, f"killed_at_each_step({wanted}, events=6, stream_alone=True)"
    ).splitlines()

    check_stream(lines, wanted)
    assert any('"again": true' in line for line in lines)


@pytest.mark.long
@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
def test_stream_of_stopped_worker_has_each_event_once(site):
    for _ in range(2):
        step(site, "record(40)")
        worker = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "worker", "--only", "audit"],
            env=os.environ | site.environ, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        lines = [worker.stdout.readline() for _ in range(20)]
        worker.send_signal(signal.SIGTERM)
        lines += worker.communicate()[0].splitlines()
        site.lines = [*getattr(site, "lines", []), *lines]
    audit_log.sequence_all()

    shown = [json.loads(line) for line in site.lines if line.startswith('{"epoch"')]
    places = [(one["epoch"], one["index"]) for one in shown]
    assert places == [(1, at) for at in range(len(places))]
    assert len(places) >= 40


@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "at", [14, *(pytest.param(each, marks=pytest.mark.long) for each in range(0, 30, 4))]
)
def test_paused_sequencer_signs_no_second_history(site, at):
    step(site, f"paused_beside_another({at})")

    check_whole(site)


def write(app, seed, turns, committed):
    """Commit, roll back, and open savepoints around writes other than events."""
    chance = random.Random(seed)
    with app.app_context():
        for _ in range(turns):
            try:
                with transaction() as session:
                    with session.begin_nested() as savepoint:
                        session.execute(sa.text("SELECT 1"))
                        if chance.random() < 0.3:
                            savepoint.rollback()
                    ids = [service.record(Event.ITEM_WRITE, account_id=ANN) for _ in range(2)]
                    if chance.random() < 0.3:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                continue
            committed += ids
        db.session.remove()


def test_sixteen_writers_with_rollbacks_leave_no_gap(postgres_url, tmp_path, count):
    url = servers.fresh_database(postgres_url)
    more = {"DATABASE_URL": f"{url}?pool_size=20&max_overflow=10"}
    app = app_fixtures.built(app_fixtures.environ_for(tmp_path, **more))
    committed, turns = [], count(10, many=300)
    writers = [
        threading.Thread(target=write, args=(app, seed, turns, committed)) for seed in range(16)
    ]

    for one in writers:
        one.start()
    with app.app_context():
        while any(one.is_alive() for one in writers):
            sequencer.sequence()
            time.sleep(0.05)
        audit_log.sequence_all()
        recorded = {event.event_id for event in audit_log.events()}
        found, _ = run.verify(run.Options(keys=keyring.current().audit.keys.by_id))
        db.engine.dispose()

    assert (found.exit_code, found.listed) == (0, [])
    assert set(committed) <= recorded
    assert len(set(committed)) == len(committed)
