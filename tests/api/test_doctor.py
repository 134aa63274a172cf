"""`flask doctor`: a result and advice for each part of an installation."""

import contextlib
import socket
import threading
from datetime import timedelta

import pytest
import time_machine

from tests.harness import mail_servers
from tests.harness.app_fixtures import built, environ_for
from tests.harness.mail_servers import Certificate, Inbox
from tests.harness.operator_fixtures import bad, in_production
from vaultr import clock
from vaultr.audit import checkpoints, sequencer_lag
from vaultr.database.session import fact
from vaultr.ops import certificate, check_result, gauges, last_runs, smtp_check
from vaultr.ops.doctor import audit_log, external, server_keys, services
from vaultr.ops.last_runs import RunKind
from vaultr.settings.loader import generate_keys
from vaultr.settings.types import Keys

pytestmark = pytest.mark.both_databases


@pytest.fixture
def settings(app):
    return app.config["SETTINGS"]


@pytest.fixture(autouse=True)
def inside(app):
    with app.app_context():
        yield


# --- secrets ---


def test_keys_are_listed_by_id_and_never_by_value(settings):
    [first, *_] = found = list(server_keys.check(settings))

    assert first.says == "JWT_SECRET: test signs"
    everything = "".join(one.says + one.todo for one in found)
    assert not any(text.partition(":")[2] in everything for text in generate_keys("x").values())


def test_old_key_and_key_without_id_are_reported(settings):
    old = Keys({"20240101ab": b"o" * 32, "spare": b"s" * 32})
    plain = Keys({"default": b"p" * 32})
    with time_machine.travel("2026-01-01T12:00Z", tick=False):
        found = bad(server_keys.check(in_production(settings, jwt_secret=old, pepper=plain)))

    assert found == [
        ("warning", "JWT_SECRET: 20240101ab signs; also verify: spare; it is 731 days old"),
        ("warning", "PEPPER: a plain value without an id"),
    ]


# --- Redis ---


@pytest.fixture
def on_redis(own_redis, tmp_path, monkeypatch):
    # On a busy machine Redis may respond slowly, which the check reports.
    monkeypatch.setattr(services, "SLOW_SECONDS", 5.0)
    app = built(environ_for(tmp_path, REDIS_URL=own_redis.url))
    with app.app_context():
        yield app.config["SETTINGS"], own_redis, app.extensions["ratelimit.limiter"].redis


def test_redis_without_noeviction_is_an_error_in_production(on_redis):
    settings, _, client = on_redis
    assert bad(services.check_redis(settings)) == []

    client.config_set("maxmemory-policy", "volatile-ttl")

    says = "eviction policy volatile-ttl: an evicted counter resets a limit"
    assert bad(services.check_redis(settings)) == [("warning", says)]
    assert ("problem", says) in bad(services.check_redis(in_production(settings)))


def test_unreachable_or_read_only_redis_is_reported(on_redis):
    settings, server, client = on_redis
    client.config_set("min-replicas-to-write", 1)
    [(level, says)] = bad(services.check_redis(settings))
    assert (level, says.partition(",")[0]) == ("problem", "responds")

    server.kill()
    assert bad(services.check_redis(settings))[0][1].startswith("does not respond: ")


# --- mail ---


def test_mail_server_with_valid_certificate_passes(settings, tmp_path):
    shown = Certificate(tmp_path, "localhost")
    with mail_servers.running(Inbox(), starttls=shown) as port:
        mine = settings.model_copy(
            update={"smtp_host": "localhost", "smtp_port": port, "smtp_ca_file": shown.file}
        )
        found = bad(smtp_check.check("mail", mine))

    assert [level for level, _ in found] == ["warning"]  # valid for a day
    assert "its certificate expires in 1 days" in found[0][1]


def test_mail_server_with_self_signed_certificate_is_reported(settings, tmp_path):
    with mail_servers.running(Inbox(), starttls=Certificate(tmp_path, "localhost")) as port:
        mine = settings.model_copy(update={"smtp_host": "localhost", "smtp_port": port})
        [(level, says)] = bad(smtp_check.check("mail", mine))

    assert level == "problem"
    assert "is not trusted: self-signed certificate" in says


# --- clock ---


@pytest.mark.parametrize(("seconds", "level"), [(60, "problem"), (10, "warning")])
def test_clock_difference_is_reported(postgres_app, seconds, level):
    with (
        postgres_app.app_context(),
        time_machine.travel(clock.now() + timedelta(seconds=seconds)),
    ):
        found = bad(services.check_clock())

    assert [one for one, _ in found] == [level] * 2  # of the database and Redis
    assert f"{seconds}" in found[0][1]


def test_equal_clocks_pass(postgres_app):
    with postgres_app.app_context():
        assert bad(services.check_clock()) == []


# --- certificate ---


@contextlib.contextmanager
def speaking_tls(shown):
    context = shown.context()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), connection:
                    context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_certificate_check_reports_expiry_and_trust(settings, tmp_path):
    def trusting(authorities):
        return settings.model_copy(update={"private_ca": authorities}).tls_context()

    shown = Certificate(tmp_path, "localhost")
    with speaking_tls(shown) as port:
        trusted = certificate.of_server("localhost", port, trusting(shown.file.read_text()))
        unknown = certificate.of_server("localhost", port, trusting(None))
        other = certificate.of_server("127.0.0.1", port, trusting(shown.file.read_text()))

    assert trusted.distrusted is None
    assert 0.9 < trusted.days < 1
    assert "self-signed" in unknown.distrusted
    assert "127.0.0.1" in other.distrusted
    assert unknown.ends_at == trusted.ends_at


def test_expiring_or_untrusted_certificate_is_reported(settings, monkeypatch):
    def seen(days, distrusted=None):
        ends = clock.now() + timedelta(days=days, minutes=1)
        monkeypatch.setattr(
            certificate, "of_url", lambda *_: certificate.ServerCertificate(ends, distrusted)
        )
        return bad(external.check_certificate(settings))

    assert seen(30) == []
    assert seen(20) == [("warning", "it expires in 20 days")]
    assert seen(6) == [("problem", "it expires in 6 days")]
    assert seen(90, "self-signed") == [("problem", "clients do not trust it: self-signed")]


def test_private_authority_is_trusted_for_base_url_and_mail(settings, tmp_path):
    shown = Certificate(tmp_path, "localhost")
    with speaking_tls(shown) as port, mail_servers.running(Inbox(), starttls=shown) as mail_port:
        update = {"base_url": f"https://localhost:{port}", "smtp_host": "localhost"}
        public = settings.model_copy(update={**update, "smtp_port": mail_port})
        private = public.model_copy(update={"private_ca": shown.file.read_text()})
        rejected, accepted = (
            [*external.check_certificate(one), *smtp_check.check("mail", one)]
            for one in (public, private)
        )

    assert [one.level for one in rejected] == ["problem", "problem"]
    assert all("PRIVATE_CA" in one.todo for one in rejected)
    assert [one.says.rpartition(" (")[0] or one.says.partition(" in ")[0] for one in accepted] == [
        "it expires",
        f"localhost:{mail_port} accepts emails",
        "its certificate expires",
    ]


def test_unreachable_server_yields_no_certificate(settings):
    mine = settings.model_copy(update={"base_url": "https://127.0.0.1:1"})

    [(level, says)] = bad(external.check_certificate(mine))
    assert (level, says) == (
        "problem",
        "cannot read the certificate: 127.0.0.1:1: Connection refused",
    )


# --- backups, audit, disk ---


def test_old_or_missing_backup_is_reported(settings):
    production = in_production(settings)
    assert [level for level, _ in bad(services.check_backups(production))] == ["problem"] * 2
    assert [level for level, _ in bad(services.check_backups(settings))] == ["warning"] * 2

    last_runs.note(RunKind.BACKUP_VERIFIED, {}, at=clock.now() - timedelta(hours=25))
    last_runs.note(RunKind.DRILL, {"seconds": 12}, at=clock.now() - timedelta(days=31))

    assert bad(services.check_backups(production)) == [
        ("problem", "the last restore drill is 31.0 days old")
    ]


def test_doctor_reports_background_jobs_without_worker(settings):
    production = in_production(settings)
    [(level, says)] = bad(services.check_worker(production))
    assert (level, says) == ("problem", "no process has done background work yet")
    assert [level for level, _ in bad(services.check_worker(settings))] == ["warning"]

    gauges.show_life()
    assert bad(services.check_worker(production)) == []

    with time_machine.travel(clock.now() + timedelta(minutes=7), tick=False):
        assert bad(services.check_worker(production)) == [
            ("problem", "no process has done background work for 7 min")
        ]


def test_earlier_run_does_not_replace_later_one():
    now = clock.now()
    last_runs.note(RunKind.DRILL, {"rows": 2}, at=now)
    last_runs.note(RunKind.DRILL, {"rows": 1}, at=now - timedelta(days=1))

    assert last_runs.last(RunKind.DRILL).facts == {"rows": 2}


def late(settings):
    """Return what the check of the log reports about the lag."""
    return [one for one in audit_log.check(settings) if "behind" in one.says]


def test_lagging_checkpoints_are_reported_after_first_sequencer_run(as_ann, settings):
    as_ann.get("/api/v1/vaults")
    later = clock.now() + timedelta(seconds=90)
    with time_machine.travel(later, tick=False):
        assert late(settings) == []  # off until a sequencer has run
        fact(sequencer_lag.SEQUENCED, lambda: b"1")
        checkpoints.forget()
        [found] = late(settings)

    assert found.level == "problem"
    assert found.says.startswith("checkpoints are ")


def test_full_disk_is_reported(settings, monkeypatch):
    assert bad(external.check_disk(settings)) == []
    full = type("Usage", (), {"free": 2**20, "total": 2**40})
    monkeypatch.setattr(external.shutil, "disk_usage", lambda path: full)

    assert {level for level, _ in bad(external.check_disk(settings))} <= {"problem", "warning"}
    assert bad(external.check_disk(settings))


def test_failing_check_is_reported_and_others_continue():
    def broken():
        raise ZeroDivisionError("hunter2")

    found = list(
        check_result.run_checks([("a", broken), ("b", lambda: [check_result.ok("b", "is well")])])
    )

    assert [one.topic for one in found] == ["a", "b"]
    assert found[0].says == "the check failed: ZeroDivisionError"
    assert not check_result.no_problems(found)
