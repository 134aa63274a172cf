"""`flask ops` and `flask db-status` on the command line."""

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import audit_log, mail_servers
from tests.harness.mail_servers import Inbox
from vaultr import clock
from vaultr.api import kill_switches
from vaultr.audit.events import Event
from vaultr.auth.models import Session
from vaultr.database import schema_version
from vaultr.database.session import db
from vaultr.mail.models import Mail
from vaultr.ops import daily_checks, last_runs, purge
from vaultr.ops.last_runs import RunKind

LONG_AGO = timedelta(days=90)


@pytest.fixture
def flask(app):
    """``flask("ops", "switch")``: run a command; return its result."""
    return lambda *arguments: app.test_cli_runner().invoke(args=arguments)


def answer(result):
    return json.loads(result.stdout)


def test_switch_is_recorded_with_operator_name(app, flask):
    result = flask("ops", "switch", "signup", "off", "--by", "ann.op", "--json")

    assert result.exit_code == 0
    assert answer(result) == {"switch": "signup", "state": "off", "text": None, "changed": True}
    with app.app_context():
        [event] = [one for one in audit_log.events() if one.typ == Event.ADMIN_SWITCH]
        assert audit_log.body(event)["obj"] == {
            "kind": "switch",
            "id": "signup",
            "to": "off",
            "operator": "ann.op",
        }


def test_switched_off_features_are_listed(flask):
    flask("ops", "switch", "writes", "off")
    flask("ops", "switch", "maintenance", "Back at 14:00.")

    assert flask("ops", "switch").stdout.splitlines() == [
        "signup       on",
        "writes       off",
        "machines     on",
        "maintenance  on   Back at 14:00.",
    ]
    states = {one["switch"]: one["state"] for one in answer(flask("ops", "switch", "--json"))}
    assert states == {"signup": "on", "writes": "off", "machines": "on", "maintenance": "on"}


def test_switching_to_current_state_changes_and_records_nothing(app, flask):
    result = flask("ops", "switch", "maintenance", "off", "--json")

    assert answer(result)["changed"] is False
    with app.app_context():
        assert [one for one in audit_log.events() if one.typ == Event.ADMIN_SWITCH] == []


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "x" * 201, "bell\x07"])
def test_invalid_maintenance_text_is_rejected(app, flask, text):
    result = flask("ops", "switch", "maintenance", text)

    assert result.exit_code == 2
    with app.app_context():
        assert kill_switches.read() == {}


@pytest.mark.parametrize("name", ["ann lind", "a\nb", "x" * 65, "<ann>"])
def test_invalid_operator_name_is_rejected(flask, name):
    assert flask("ops", "switch", "signup", "off", "--by", name).exit_code == 2


@pytest.fixture
def expired_rows(app):
    """Rows of which one has expired."""
    with app.app_context():
        ann = factories.account()
        for days in (-1, 1):
            end = clock.now() + timedelta(days=days)
            factories.change_session(factories.session(ann).id, idle_until=end, expires_at=end)
        for number, state in enumerate(("sent", "dead", "waiting")):
            _mail(number, state, clock.now() - LONG_AGO)
            _mail(10 + number, state, clock.now())


def _mail(number, state, created_at):
    row = {"message_id": f"<{number}@x>", "created_at": created_at, "next_try_at": created_at}
    with db.engine.begin() as connection:
        connection.execute(
            sa.insert(Mail).values(
                id=factories.uuid4(), kind="x", notice=False, recipient=b"r", sealed=None,
                state=state, tries=0, sent_at=None, **row,
            )
        )  # fmt: skip


def test_cleanup_removes_exactly_the_counted_rows(app, flask, expired_rows):
    before = answer(flask("ops", "cleanup", "--dry-run", "--json"))
    with app.app_context():
        assert _rows(Session) == 2

    done = answer(flask("ops", "cleanup", "--json"))

    assert before["removed"] == done["removed"]
    assert done["removed"] | {"sessions": 1, "mails": 2} == done["removed"]
    assert done["total"] == 3
    assert answer(flask("ops", "cleanup", "--json"))["total"] == 0
    with app.app_context():
        assert (_rows(Session), _rows(Mail)) == (1, 4)


def _rows(model):
    with db.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(model)).scalar_one()


def test_worker_has_a_job_for_every_purge_rule(app):
    from vaultr.ops.worker import JOBS  # noqa: PLC0415 - beside what it is compared with

    done = {job.run for job in JOBS}

    assert {chore.remove for chore in purge.PURGE_RULES} <= done


def test_db_status_of_a_database_without_migrations(flask):
    result = flask("db-status", "--json")

    assert result.exit_code == 3
    assert answer(result)["current"] is None
    assert answer(result)["pending"][0] == "0001"


def test_db_status_of_the_newest_schema(app, flask, migrated_to_newest):
    result = flask("db-status", "--json")

    assert result.exit_code == 0
    newest = answer(result)["head"]
    assert answer(result) == {"current": newest, "head": newest, "pending": [], "compatible": True}


def test_db_status_of_older_schema_names_pending_migrations(app, flask, migrated_to):
    with app.app_context():
        *_, before, newest = schema_version.known()
    migrated_to(before)
    result = flask("db-status", "--json")

    assert (result.exit_code, answer(result)["pending"]) == (3, [newest])


@pytest.mark.parametrize("revision", ["ffffffffffff", "9999"])
def test_db_status_reports_unknown_schema(flask, migrated_to, revision):
    migrated_to(revision)
    result = flask("db-status", "--json")

    assert (result.exit_code, answer(result)["compatible"]) == (4, False)
    assert "too old for the schema" in flask("db-status").stdout


# --- daily ---


def daily_of(flask, *more):
    result = flask("ops", "daily", "--json", *more)
    found = answer(result)["findings"]
    bad = {one["topic"] for one in found if one["level"] == "problem"}
    return result.exit_code, bad, found


@pytest.fixture
def healthy(httpd):
    """The address of a server that reports that it is healthy."""
    return httpd(b'{"status":"healthy"}')


@pytest.fixture
def backed_up(app):
    with app.app_context():
        last_runs.note(RunKind.BACKUP_VERIFIED, {"file": "x"})


def test_daily_check_of_healthy_server_passes(flask, healthy, backed_up):
    code, bad, found = daily_of(flask, "--url", healthy)

    assert (code, bad) == (0, set())
    assert {one["topic"] for one in found} == {"health", "errors", "backup", "limits", "mail"}


def test_daily_check_reports_unreachable_server(flask, backed_up):
    assert daily_of(flask, "--url", "http://127.0.0.1:1")[:2] == (1, {"health"})


def test_daily_check_reports_unexpected_health_response(flask, httpd, backed_up):
    assert daily_of(flask, "--url", httpd(b"It works!"))[:2] == (1, {"health"})


def test_daily_check_reports_old_backup(app, flask, healthy):
    with app.app_context():
        last_runs.note(RunKind.BACKUP_VERIFIED, {}, at=clock.now() - timedelta(hours=27))

    assert daily_of(flask, "--url", healthy)[:2] == (1, {"backup"})


def test_daily_check_reports_missing_backup(flask, healthy):
    assert daily_of(flask, "--url", healthy)[:2] == (1, {"backup"})


def test_daily_check_reports_email_that_waits_too_long(app, flask, healthy, backed_up):
    with app.app_context():
        _mail(1, "waiting", clock.now() - timedelta(minutes=16))

    assert daily_of(flask, "--url", healthy)[:2] == (1, {"mail"})


def test_daily_check_reports_unreachable_mail_server(app, flask, healthy, backed_up, set_to):
    set_to(app, smtp_host="127.0.0.1", smtp_port=1, smtp_secure="none")

    assert daily_of(flask, "--url", healthy)[:2] == (1, {"mail"})


def test_daily_check_reports_mail_server_without_starttls(app, flask, healthy, backed_up, set_to):
    inbox = Inbox()
    with mail_servers.running(inbox) as port:
        set_to(app, smtp_host="127.0.0.1", smtp_port=port, smtp_secure="starttls")
        code, bad, found = daily_of(flask, "--url", healthy)

    assert (code, bad) == (1, {"mail"})
    assert any("offers no STARTTLS" in one["says"] for one in found)


def test_daily_check_sends_test_email(app, flask, healthy, backed_up, set_to):
    inbox = Inbox()
    with mail_servers.running(inbox) as port:
        set_to(app, smtp_host="localhost", smtp_port=port, smtp_secure="none")
        code, bad, _ = daily_of(flask, "--url", healthy, "--mail-to", "sink@example.org")
        inbox.rcpt = "550 no such user"
        rejected = daily_of(flask, "--url", healthy, "--mail-to", "sink@example.org")

    assert (code, bad, inbox.recipients) == (0, set(), ["sink@example.org"])
    assert rejected[:2] == (1, {"mail"})


def test_daily_check_reports_high_error_rate_in_metrics(flask, httpd, healthy, backed_up):
    line = b'vaultr_requests_total{method="GET",route="/x",status="%s"} %s\n'
    few = httpd(line % (b"200", b"95") + line % (b"500", b"5"))
    many = httpd(line % (b"200", b"94") + line % (b"503", b"6"))

    assert daily_of(flask, "--url", healthy, "--metrics", few)[:2] == (0, set())
    assert daily_of(flask, "--url", healthy, "--metrics", many)[:2] == (1, {"errors"})
    both = daily_of(flask, "--url", healthy, "--metrics", many, "--metrics", few)
    assert both[1] == {"errors"}


def test_daily_check_reports_high_error_rate_in_log(flask, healthy, backed_up, tmp_path):
    def line(status, hours=1):
        reported = {"time": clock.text(clock.now() - timedelta(hours=hours)), "event": "request"}
        return "pod-1 " + json.dumps({**reported, "status": status})

    log = tmp_path / "log"
    older = [line(500, hours=30)] * 50
    noise = ["", "{", '{"event": "request"}', "no json", '{"event": "request", "status": 500}']
    log.write_text("\n".join([*older, *noise, *[line(200)] * 95, *[line(500)] * 5]))
    assert daily_of(flask, "--url", healthy, "--log", str(log))[:2] == (0, set())

    log.write_text("\n".join([*[line(200)] * 94, *[line(500)] * 6]))
    assert daily_of(flask, "--url", healthy, "--log", str(log))[:2] == (1, {"errors"})


def test_daily_check_rejects_file_url(flask):
    assert flask("ops", "daily", "--url", "file:///etc/passwd").exit_code == 2


def test_error_rate_of_five_percent_is_accepted():
    assert daily_checks.judged(0, 0).level == "ok"
    assert daily_checks.judged(100, 5).level == "ok"
    assert daily_checks.judged(100, 6).level == "problem"
