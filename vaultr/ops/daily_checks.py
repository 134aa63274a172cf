"""The five daily checks: health, errors, backup, limits, mail. If one fails, the others run."""

import http.client
import json
import secrets
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from vaultr import clock
from vaultr.mail import service as mail
from vaultr.ops import last_runs, smtp_check
from vaultr.ops.check_result import Check, CheckResult, not_judged, ok, problem
from vaultr.ops.last_runs import RunKind
from vaultr.ratelimit import limiter
from vaultr.ratelimit.sliding_window import Count
from vaultr.settings.model import current_settings
from vaultr.settings.types import Rate

SECONDS: Final = 10  # seconds for each response
MOST_ERRORS: Final = 0.05
WINDOW: Final = timedelta(days=1)
OLDEST_BACKUP: Final = timedelta(hours=26)  # one day, plus the time to create and verify it
OLDEST_MAIL_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Sources:
    """The server and the sources of counts that are checked.

    :ivar url: the server, such as ``https://vault.example.org``.
    :ivar metrics: URLs of `/metrics`, one for each pod, or a name that resolves to all of them
        (plain HTTP); ``logs``: log files. Without either, METRICS_PORT of this machine is read.
    """

    url: str
    metrics: tuple[str, ...] = ()
    logs: tuple[Path, ...] = ()
    mail_to: str | None = None


def checks(sources: Sources) -> tuple[tuple[str, Check], ...]:
    """Return the five checks."""
    return (
        ("health", lambda: _health(sources.url)),
        ("errors", lambda: _errors(sources)),
        ("backup", _backup),
        ("limits", _limits),
        ("mail", lambda: _mail(sources.mail_to)),
    )


def _fetch(url: str) -> tuple[int, bytes]:
    context = current_settings().tls_context()
    try:
        with urllib.request.urlopen(url, timeout=SECONDS, context=context) as answer:  # nosec B310 - the command accepts only http(s)
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def _health(url: str) -> Iterator[CheckResult]:
    try:
        status, body = _fetch(f"{url.rstrip('/')}/api/health")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        yield problem(
            "health",
            f"{url} does not respond: {reason}",
            "Check whether the server runs, then run `flask doctor`.",
        )
        return
    if (status, body) == (200, b'{"status":"healthy"}'):
        yield ok("health", f"{url} is healthy")
    else:
        yield problem(
            "health",
            f"{url} returns status {status}",
            "Read the server's log; restart the server if necessary.",
        )


def _errors(sources: Sources) -> Iterator[CheckResult]:
    if not sources.metrics and not sources.logs:
        yield _errors_here()
        return
    answers = errors = 0.0
    for url in sources.metrics:
        try:
            counted = [each for pod in _pods(url) for each in _of_metrics(pod)]
        except (OSError, http.client.HTTPException, ValueError) as error:
            yield problem(
                "errors",
                f"no metrics from {url}: {error}",
                "Check whether this machine can reach the server's METRICS_PORT.",
            )
            return
        answers, errors = (
            answers + sum(n for n, _ in counted),
            errors + sum(n for n, bad in counted if bad),
        )
    for path in sources.logs:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                found = [status >= 500 for status in statuses(file, since=clock.now() - WINDOW)]
        except OSError as error:
            yield problem(
                "errors",
                f"{path} cannot be read: {error.strerror}",
                "Pass a log file that you can read with --log.",
            )
            return
        answers, errors = answers + len(found), errors + sum(found)
    yield judged(answers, errors)


def _errors_here() -> CheckResult:
    """Check the counts of the server on this machine, if its metrics can be read."""
    settings = current_settings()
    url = f"http://{_reached(settings.metrics_host)}:{settings.metrics_port}/metrics"
    todo = "Pass --metrics URL for each pod, or --log FILE with its log of the last day."
    if not settings.metrics_port:
        return not_judged("errors", "METRICS_PORT is 0, and no --metrics or --log was passed", todo)
    try:
        counted = list(_of_metrics(url))
    except (OSError, http.client.HTTPException, ValueError):
        return not_judged(
            "errors", f"no metrics at {url}, and no --metrics or --log was passed", todo
        )
    if not counted:
        return not_judged("errors", f"{url} has counted no responses; it may be a worker's", todo)
    found = judged(sum(n for n, _ in counted), sum(n for n, bad in counted if bad))
    return replace(found, says=f"{found.says}, on this machine only")


def _reached(host: str) -> str:
    """Return the address at which this machine reaches a server that listens on ``host``."""
    bare = host.strip("[]")
    here = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(bare, bare)  # nosec B104 - connected to, never listened on
    return f"[{here}]" if ":" in here else here


def judged(answers: float, errors: float) -> CheckResult:
    """Return the result for a share of server errors; 5 % or more is a problem."""
    says = f"{errors:.0f} of {answers:.0f} responses were server errors"
    if answers and errors / answers > MOST_ERRORS:
        todo = 'Search the log for `"status": 5` (docs/runbook.md, VaultrErrorRate).'
        return problem("errors", says, todo)
    return ok("errors", says)


def _pods(url: str) -> list[str]:
    """Return the URL of each pod, if a name resolves to several, such as a headless Service.

    A request to the name would reach only one pod, perhaps the worker, which serves no requests.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http":  # a certificate is valid for the name
        return [url]
    found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    family = found[0][0]  # one address for each pod is enough
    hosts = sorted({str(where[0]) for kind, *_, where in found if kind == family})
    if len(hosts) == 1:
        return [url]
    bare = [f"[{host}]" if ":" in host else host for host in hosts]
    return [parts._replace(netloc=f"{host}:{parts.port or 80}").geturl() for host in bare]


def _of_metrics(url: str) -> Iterator[tuple[float, bool]]:
    status, body = _fetch(url)
    if status != 200:
        raise ValueError(f"status {status}")
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            if sample.name == "vaultr_requests_total":
                yield sample.value, sample.labels["status"].startswith("5")


def statuses(lines: Iterable[str], *, since: datetime) -> Iterator[int]:
    """Yield the statuses of responses in log lines; skip other lines."""
    for line in lines:
        record = _read(line)
        if record.get("event") != "request" or not isinstance(record.get("status"), int):
            continue
        try:
            moment = datetime.fromisoformat(str(record.get("time")))
        except ValueError:
            continue
        if moment.tzinfo is not None and moment.astimezone(UTC) >= since:
            yield record["status"]


def _read(line: str) -> dict[str, Any]:
    start = line.find("{")  # a log collector may add a name before it
    if start < 0 or '"request"' not in line:
        return {}
    try:
        record = json.loads(line[start:])
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _backup() -> Iterator[CheckResult]:
    todo = (
        "Run `flask backup create`, then `flask backup drill` (docs/runbook.md, VaultrBackupOld)."
    )
    reached = last_runs.last(RunKind.BACKUP_VERIFIED)
    if reached is None:
        yield problem("backup", "no backup was verified yet", todo)
        return
    hours = reached.age_seconds / 3600
    says = f"the last verified backup is {hours:.1f} h old"
    if reached.age_seconds > OLDEST_BACKUP.total_seconds():
        yield problem("backup", says, todo)
    else:
        yield ok("backup", says)


def _limits() -> Iterator[CheckResult]:
    guard = limiter.current()
    if guard.redis is None:
        yield ok("limits", "counted in memory by a single process (no REDIS_URL)")
        return
    todo = "Repair Redis (docs/runbook.md, VaultrRedisAway). Meanwhile each process counts a share."
    if not guard.reachable():
        yield problem("limits", "Redis does not count requests", todo)
        return
    once = [Count(f"daily:{secrets.token_hex(8)}", Rate(1, 60))]
    first, second = guard.take(once)[0].allowed, guard.take(once)[0].allowed
    if guard.away_since is not None or (first, second) != (True, False):
        yield problem("limits", "a limit of 1 was not enforced", todo)
    else:
        yield ok(
            "limits", "Redis counts requests: with a limit of 1, the second request was rejected"
        )


def _mail(to: str | None) -> Iterator[CheckResult]:
    settings = current_settings()
    yield from smtp_check.check("mail", settings)
    if to is not None:
        outcome = mail.send_sample(to)
        if outcome.accepted:
            yield ok("mail", "the test email was accepted")
        else:
            yield problem("mail", f"the test email failed: {outcome.reason}", outcome.advice)
    age = mail.oldest_waiting_seconds()
    if age > OLDEST_MAIL_SECONDS:
        todo = "Check that a worker runs; run `flask mail list` (docs/runbook.md, VaultrMailStuck)."
        yield problem("mail", f"an email has waited for {age / 60:.0f} min", todo)
    else:
        yield ok("mail", f"the oldest waiting email is {age:.0f} s old")
