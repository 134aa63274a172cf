"""Background jobs, each run by one process at a time."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from vaultr.audit import service as audit
from vaultr.health import service as health
from vaultr.machines import service as machines
from vaultr.mail import service as mail
from vaultr.observability import instrumentation, logs, metrics, prometheus_endpoint, statsd
from vaultr.observability.tracing import spans
from vaultr.ops import database_wait, gauges, job_locks
from vaultr.ops.keys import usage
from vaultr.ops.purge import PURGE_RULES
from vaultr.settings.model import Settings

# Another process had the lock: try again soon, because its run may have begun before new work
# arrived.
LOCKED_SECONDS = 0.5
# Interval at which the runner checks the flag that the signal handler sets.
LOOK_SECONDS = 0.5
STOP_SECONDS = 10.0
TOUCH_SECONDS = 5.0
# No part of a job takes this long, so a probe may kill the process.
STUCK_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Job:
    """A recurring job.

    :param run: does a limited part of the job; returns whether more work is left.
    :param exclusive: whether only one process at a time runs it; False for jobs that every process
        runs.
    """

    name: str
    run: Callable[[], bool]
    every_seconds: float
    exclusive: bool = True


JOBS: tuple[Job, ...] = (
    Job("outbox", mail.deliver, every_seconds=2),
    Job("audit", audit.sequence_if_due, every_seconds=1),
    Job("self-audit", audit.check_own_events, every_seconds=5, exclusive=False),
    Job("denials", audit.flush_denials, every_seconds=15, exclusive=False),
    *(Job(f"{rule.name}-purge", rule.remove, every_seconds=3600) for rule in PURGE_RULES),
    Job("machines", machines.send_notices, every_seconds=3600),
    Job("keys-reseal", usage.reseal_all, every_seconds=3600),
    Job("life", gauges.show_life, every_seconds=60),
    Job("measure", gauges.measure, every_seconds=15, exclusive=False),
    Job("certificate", gauges.measure_certificate, every_seconds=3600, exclusive=False),
)


class Runner:
    """Runs the jobs of one process, one after the other, until stopped."""

    def __init__(self, app: Flask, jobs: Sequence[Job], *, announces: bool = True) -> None:
        self._app = app
        self._announces = announces
        self._jobs = jobs
        self._due = {job.name: 0.0 for job in jobs}
        for job in jobs:
            metrics.JOB_FAILURES.labels(job.name)  # exported as 0 until the first failure
        self._woken: set[str] = set()
        self._wakeup = threading.Event()
        self.stopping = False
        self.since: float | None = None

    def wake(self, name: str) -> None:
        """Run a job as soon as possible."""
        self._woken.add(name)
        self._wakeup.set()

    def stop(self) -> None:
        """Stop after the current part of a job."""
        self.stopping = True
        self._wakeup.set()

    def run(self) -> None:
        """Wait until the database responds, then run jobs when they are due."""
        database_wait.until_reachable(
            self._app, is_stopping=lambda: self.stopping, is_announced=self._announces
        )
        while not self.stopping:
            for job in self._jobs:
                if job.name in self._woken or self._due[job.name] <= time.monotonic():
                    self._woken.discard(job.name)
                    self._due[job.name] = time.monotonic() + self._do(job)
                if self.stopping:
                    return
            wait = min(self._due.values()) - time.monotonic()
            self._wakeup.wait(min(max(wait, 0), LOOK_SECONDS))
            self._wakeup.clear()

    def once(self) -> None:
        """Run every job until nothing is left to do."""
        for job in self._jobs:
            while not self.stopping and self._do(job) == 0:
                pass

    def _do(self, job: Job) -> float:
        """Run a part of a job; return the seconds until the job is due again."""
        no_lock = contextlib.nullcontext(enter_result=True)
        try:
            with (
                self._app.app_context(),
                job_locks.job_lock(job.name) if job.exclusive else no_lock as acquired,
            ):
                if not acquired:
                    return min(LOCKED_SECONDS, job.every_seconds)
                self.since = began = time.monotonic()
                with spans.job(job.name):
                    more = job.run()
                metrics.JOB_TIME.labels(job.name).observe(time.monotonic() - began)
                metrics.JOB_DONE.labels(job.name).set(time.time())
                return 0 if more else job.every_seconds
        except Exception as error:  # noqa: BLE001 - a failing job must not stop the others
            metrics.JOB_FAILURES.labels(job.name).inc()
            logs.failure("job.failed", error, job=job.name)
            return job.every_seconds
        finally:
            self.since = None

    @property
    def stuck(self) -> bool:
        """Return whether a part of a job has run so long that it will probably never end."""
        since = self.since
        return since is not None and time.monotonic() - since > STUCK_SECONDS


def start_inline(app: Flask, *, announces: bool = True) -> Callable[[], None]:
    """Run the jobs in a thread of this process; call it after the fork.

    :param announces: whether this process logs that the database does not respond at the start.
    :return: a function that stops the thread.
    """
    runner = Runner(app, JOBS, announces=announces)
    mail.listen(app, lambda: runner.wake("outbox"))
    thread = threading.Thread(target=runner.run, name="vaultr-worker", daemon=True)
    thread.start()

    def stop() -> None:
        runner.stop()
        thread.join(STOP_SECONDS)

    return stop


@contextlib.contextmanager
def _heartbeat(runner: Runner, home: Path) -> Iterator[None]:
    """Touch the file that `healthcheck --worker` reads, unless a job hangs."""
    ended = threading.Event()

    def show() -> None:
        while True:
            if not runner.stuck:
                health.touch_heartbeat(home)
            if ended.wait(TOUCH_SECONDS):
                return

    thread = threading.Thread(target=show, name="vaultr-alive", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(STOP_SECONDS)
        health.remove_heartbeat(home)


def _serve_metrics(settings: Settings) -> None:
    """Serve /metrics, unless the server on this machine already does."""
    if not settings.metrics_port:
        return
    try:
        listener = prometheus_endpoint.listen(settings.metrics_host, settings.metrics_port)
    except OSError as error:
        why = prometheus_endpoint.bind_error(error, settings.metrics_port)
        logs.warning("metrics.off", port=settings.metrics_port, reason=why)
        return
    prometheus_endpoint.serve(listener)


@click.command("worker")
@click.option("--once", is_flag=True, help="Run what is due now, then exit")
@click.option("--only", type=click.Choice([job.name for job in JOBS]), help="Run this job only")
@with_appcontext
def worker(*, once: bool, only: str | None) -> None:
    """Send emails and run other background jobs until SIGTERM.

    Any number of workers may run; only one of them at a time runs each job.

    Example: flask worker --only outbox
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # Flask's proxy
    runner = Runner(app, [job for job in JOBS if only in (None, job.name)])
    if once:
        runner.once()
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: setattr(runner, "stopping", True))
    settings: Settings = app.config["SETTINGS"]
    statsd.start(settings.statsd_host)
    instrumentation.trace(app, os.environ)
    instrumentation.set_constant_gauges(app)
    _serve_metrics(settings)
    with _heartbeat(runner, settings.vaultr_home):
        logs.event("worker.start")
        runner.run()
        audit.stop()
        statsd.stop()
        spans.stop()
    logs.event("worker.stop")
