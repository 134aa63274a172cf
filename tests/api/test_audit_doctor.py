"""The results of `flask doctor` for the audit log: rights, the signer's state, anchors."""

import pytest
import sqlalchemy as sa

from tests.harness import app_fixtures, audit_log
from vaultr.audit import anchors, sequencer, service, state_file
from vaultr.audit.events import Event
from vaultr.database.session import db, transaction
from vaultr.ops.doctor import audit_log as doctor


@pytest.fixture
def log(here):
    """A server with a sequenced log."""
    with transaction():
        service.record(Event.ITEM_WRITE, account_id=None)
    audit_log.sequence_all()
    return here


def found(app, level):
    """Run the check, and return its results of a level."""
    results = doctor.check(app.config["SETTINGS"])
    return [one.says for one in results if one.level == level]


def test_intact_log_has_no_problem(log):
    assert found(log, "problem") == []
    assert "the signer can sign" in found(log, "ok")


def test_role_with_rights_to_change_log_is_reported(postgres_app):
    with postgres_app.app_context():
        [says] = found(postgres_app, "warning")

    assert says.startswith("the role may change the log: ")
    assert " on audit_" in says


def test_doctor_reports_that_sqlite_enforces_no_rights(tmp_path):
    app = app_fixtures.built(app_fixtures.environ_for(tmp_path))
    with app.app_context():
        assert "SQLite has no roles and cannot enforce rights to the log" in found(app, "ok")
        db.engine.dispose()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "state file and anchors are missing"),
        (
            lambda path: path.write_text(path.read_text()[:-40]),
            "checkpoint in the state is invalid",
        ),
    ],
    ids=["missing", "truncated"],
)
def test_state_that_stops_the_signer_is_a_problem(log, damage, says):
    damage(state_file.path())

    [problem] = found(log, "problem")

    assert problem.startswith("the signer does not sign: ")
    assert says in problem


def test_doctor_writes_no_state_for_the_signer(here):
    sequencer.sequence()  # the first checkpoint, of a process that is killed before storing it
    state_file.path().unlink()
    with db.engine.begin() as connection:
        connection.execute(sa.text("UPDATE audit_checkpoint SET anchored_to = NULL"))
    before = sorted(state_file.path().parent.iterdir())

    assert "the signer can sign" in found(here, "ok")

    assert sorted(state_file.path().parent.iterdir()) == before
    sequencer.forget()
    sequencer.sequence()
    assert state_file.read() is not None


def test_unreadable_anchor_is_a_problem(log, set_to, tmp_path):
    url = (tmp_path / "not-mounted" / "checkpoints").as_uri()
    set_to(log, audit_anchors=(url,))
    anchors.init_app(log, log.config["SETTINGS"])
    try:
        problems = found(log, "problem")
    finally:
        without = log.config["SETTINGS"].model_copy(update={"audit_anchors": ()})
        anchors.init_app(log, without)

    assert f"anchors cannot be read: {url}" in problems
