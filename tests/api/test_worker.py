"""The worker runs each job in only one process at a time, and stops when asked to."""

import threading
import time
from collections import Counter

import pytest

from tests.harness import audit_log
from tests.harness.timing import quickest, until
from vaultr.audit import denied_requests
from vaultr.mail import service
from vaultr.mail.message import Email
from vaultr.ops import job_locks, worker
from vaultr.ops.worker import Job, Runner

pytestmark = pytest.mark.both_databases
EMAIL_MESSAGE = Email("verify-email", "Confirm", "a link\n", "<p>a link</p>")


@pytest.fixture
def inline(app):
    stop = worker.start_inline(app)
    yield
    stop()


def files(app):
    return list((app.config["SETTINGS"].vaultr_home / "mail").glob("*.eml"))


def test_development_email_arrives_within_a_second(time_limit, app, inline):
    time.sleep(0.3)  # the runner has checked and waits now

    def send():
        before = len(files(app))
        with app.app_context():
            service.send(EMAIL_MESSAGE, "ann@example.org")
        until(lambda: len(files(app)) > before)

    assert quickest(send, within=time_limit(1)) < time_limit(1)


def test_stop_ends_the_worker_thread(app):
    worker.start_inline(app)()

    assert "vaultr-worker" not in {thread.name for thread in threading.enumerate()}


def test_job_runs_in_one_worker_at_a_time(app):
    doing, most, rounds = [], [], []

    def work():
        doing.append(1)
        most.append(len(doing))
        time.sleep(0.02)
        doing.pop()
        rounds.append(1)
        return False

    runners = [Runner(app, [Job("test", work, every_seconds=0.01)]) for _ in range(3)]
    threads = [threading.Thread(target=runner.run) for runner in runners]
    for thread in threads:
        thread.start()
    until(lambda: len(rounds) >= 5)
    for runner in runners:
        runner.stop()
    for thread in threads:
        thread.join()

    assert set(most) == {1}


def test_lock_of_one_job_does_not_block_another(app):
    with app.app_context():
        with (
            job_locks.job_lock("one") as one,
            job_locks.job_lock("two") as two,
            job_locks.job_lock("one") as again,
        ):
            assert (one, two, again) == (True, True, False)
        with job_locks.job_lock("one") as free:
            assert free


def test_failing_job_does_not_stop_the_others(app):
    done = []

    def fail():
        raise ZeroDivisionError

    jobs = [
        Job("bad", fail, every_seconds=60),
        Job("good", lambda: done.append(1), every_seconds=60),
    ]
    Runner(app, jobs).once()

    assert done == [1]


def test_job_repeats_immediately_while_more_is_left(app):
    left = [1, 2, 3]

    def work():
        left.pop()
        return bool(left)

    Runner(app, [Job("test", work, every_seconds=60)]).once()

    assert left == []


def test_worker_once_runs_due_jobs_and_exits(app):
    before = len(files(app))
    with app.app_context():
        service.send(EMAIL_MESSAGE, "ann@example.org")

    result = app.test_cli_runner().invoke(args=["worker", "--once", "--only", "outbox"])

    assert (result.exit_code, result.output) == (0, "")
    assert len(files(app)) == before + 1


def test_unknown_job_exits_2_and_lists_jobs(app):
    result = app.test_cli_runner().invoke(args=["worker", "--only", "nothing"])

    assert result.exit_code == 2
    assert "outbox" in result.output


def test_each_process_records_its_own_denied_requests(app):
    with app.app_context():
        denied_requests.current().count("door", "192.0.2.0/24")
        denied_requests.current()._counts = Counter(
            {(0, *key[1:]): n for key, n in denied_requests.current()._counts.items()}
        )
        with job_locks.job_lock("denials"):
            app.test_cli_runner().invoke(args=["worker", "--once"])

        types = [event.typ for event in audit_log.events()]
        assert [typ for typ in types if not typ.startswith("log.")] == ["door.deny"]
