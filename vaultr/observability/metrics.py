"""The metrics of a running server. This module only counts; it never calls a feature.

A metric is counted for Prometheus and, with STATSD_HOST, also sent to StatsD. Label values come
from short lists; they are never ids, addresses or paths. A value of the whole installation (such as
the age of the oldest email or of a backup) is a `GaugeMetric` of the kind ``latest``: the last
value that any process set counts.
"""

import math
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

import prometheus_client
from prometheus_client import disable_created_metrics

from vaultr.observability import statsd

# Maximum number of samples of one server; the maxima of all metrics add up to less.
MOST_SERIES: Final = 10_000
OTHER: Final = "other"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
JOB_SECONDS: Final = (0.01, 0.1, 1, 10, 60, 600)
_MODES: Final[dict[str, Literal["mostrecent", "livemax", "livesum"]]] = {
    "latest": "mostrecent",
    "live_max": "livemax",
    "live_sum": "livesum",
}

disable_created_metrics()  # type: ignore[no-untyped-call]  # each would add a second series

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class CounterPart:
    """A counter for one set of labels."""

    metric: prometheus_client.Counter
    statsd_name: str

    def inc(self, by: float = 1) -> None:
        """Add ``by``."""
        self.metric.inc(by)
        statsd.count(self.statsd_name, by)


@dataclass(frozen=True, slots=True)
class GaugePart:
    """A gauge for one set of labels."""

    metric: prometheus_client.Gauge
    statsd_name: str

    def set(self, value: float) -> None:
        """Set the value; for an age, pass ``math.inf`` if nothing exists yet."""
        self.metric.set(value)
        if math.isfinite(value):
            statsd.gauge(self.statsd_name, value)

    def add(self, change: float) -> None:
        """Add ``change``; not for a gauge of the kind ``latest``."""
        self.metric.inc(change)


@dataclass(frozen=True, slots=True)
class HistogramPart:
    """A histogram for one set of labels."""

    metric: prometheus_client.Histogram
    statsd_name: str

    def observe(self, seconds: float) -> None:
        """Record one duration."""
        self.metric.observe(seconds)
        if self.statsd_name:
            statsd.timing(self.statsd_name, seconds)


class _Metric(Generic[Part]):
    """A metric by its labels; after ``most`` label sets, further ones count as ``other``."""

    def __init__(self, name: str, labels: tuple[str, ...], most: int, samples: int) -> None:
        self.name = name
        self._labels, self._most = labels, most if labels else 1
        self.series = (self._most + 1) * samples  # at most
        self._parts: dict[tuple[str, ...], Part] = {}

    def labels(self, *values: str) -> Part:
        """Return the part for these labels."""
        part = self._parts.get(values)
        if part is None:
            if len(self._parts) >= self._most:
                values = (OTHER,) * len(self._labels)
            part = self._parts[values] = self._make(values)
        return part

    def _make(self, values: tuple[str, ...]) -> Part:
        raise AssertionError  # each kind has its own


class CounterMetric(_Metric[CounterPart]):
    """A value that only grows: ``LOGINS.labels("ok").inc()``.

    :param starts: values of the only label that are exported as 0 from the start.
    """

    def __init__(
        self, name: str, help_text: str, *labels: str, most: int = 60, starts: tuple[str, ...] = ()
    ) -> None:
        super().__init__(name, labels, most, samples=1)
        self._metric = prometheus_client.Counter(name, help_text, labels)
        for value in starts:
            self.labels(value)

    def _make(self, values: tuple[str, ...]) -> CounterPart:
        metric = self._metric.labels(*values) if values else self._metric
        return CounterPart(metric, _statsd_name(self.name.removesuffix("_total"), values))

    def inc(self, by: float = 1) -> None:
        """Add ``by``, if there are no labels."""
        self.labels().inc(by)


class GaugeMetric(_Metric[GaugePart]):
    """A value that goes up and down: ``OUTBOX_AGE.set(12.5)``.

    :param kind: how the values of several processes combine: ``latest``, or ``live_max`` and
        ``live_sum`` of the running processes.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        *labels: str,
        kind: Literal["latest", "live_max", "live_sum"] = "latest",
        most: int = 60,
    ) -> None:
        super().__init__(name, labels, most, samples=1)
        self._metric = prometheus_client.Gauge(
            name, help_text, labels, multiprocess_mode=_MODES[kind]
        )
        if kind == "latest" and not labels:
            self._metric.set(math.nan)  # unknown yet; 0 would look like a value

    def _make(self, values: tuple[str, ...]) -> GaugePart:
        metric = self._metric.labels(*values) if values else self._metric
        return GaugePart(metric, _statsd_name(self.name, values))

    def set(self, value: float) -> None:
        """Set the value, if there are no labels."""
        self.labels().set(value)


class HistogramMetric(_Metric[HistogramPart]):
    """A distribution of durations: ``HASH_WAIT.observe(0.012)``."""

    def __init__(
        self,
        name: str,
        help_text: str,
        *labels: str,
        buckets: tuple[float, ...] = SECONDS,
        most: int = 60,
        to_statsd: bool = True,
    ) -> None:
        super().__init__(name, labels, most, samples=len(buckets) + 3)
        self._to_statsd = to_statsd
        self._metric = prometheus_client.Histogram(name, help_text, labels, buckets=buckets)

    def _make(self, values: tuple[str, ...]) -> HistogramPart:
        metric = self._metric.labels(*values) if values else self._metric
        statsd_name = _statsd_name(self.name.removesuffix("_seconds"), (*values, "duration"))
        return HistogramPart(metric, statsd_name if self._to_statsd else "")

    def observe(self, seconds: float) -> None:
        """Record one duration, if there are no labels."""
        self.labels().observe(seconds)


def _statsd_name(name: str, values: tuple[str, ...]) -> str:
    return statsd.name_of(name.removeprefix("vaultr_"), *values)


def all_metrics() -> list[CounterMetric | GaugeMetric | HistogramMetric]:
    """Return all metrics."""
    return [
        value
        for value in globals().values()
        if isinstance(value, CounterMetric | GaugeMetric | HistogramMetric)
    ]


# --- Requests ---
REQUESTS = CounterMetric(
    "vaultr_requests_total", "Responses by route template", "method", "route", "status", most=3000
)
REQUEST_SECONDS = HistogramMetric(
    "vaultr_request_seconds", "Response time", "method", "route", most=300, to_statsd=False
)  # StatsD gets `<operation>.duration`
PROBLEMS = CounterMetric("vaultr_problems_total", "Errors by slug", "problem", most=100)
DENIED = CounterMetric(
    "vaultr_denied_total",
    "Requests denied by a rate limit or without authentication",
    "reason",
    starts=("door", "limit"),
)
VAULT_WRITES = CounterMetric(
    "vaultr_vault_writes_total",
    "Entries written to vaults",
    "op",
    starts=("put", "trash", "restore", "remove"),
)

# --- Login ---
LOGINS = CounterMetric(
    "vaultr_logins_total", "Logins by outcome", "outcome", starts=("ok", "denied", "locked")
)
HASHES = CounterMetric("vaultr_hashes_total", "Verifiers computed")
HASH_WAIT = HistogramMetric("vaultr_hash_wait_seconds", "Time that a login waited for its hash")

# --- This process and its dependencies ---
BUILD = GaugeMetric("vaultr_build_info", "1, with the version", "version", kind="live_max")
READY = GaugeMetric("vaultr_ready", "1 while this process is ready for requests", kind="latest")
REDIS_AWAY = GaugeMetric(
    "vaultr_redis_away", "1 while rate limits are counted without Redis", kind="live_max"
)
REDIS_ERRORS = CounterMetric(
    "vaultr_redis_errors_total",
    "Redis failures by reason",
    "reason",
    starts=("connection", "timeout", "password", "loading", "full", "read-only", "other"),
)
POOL_IN_USE = GaugeMetric(
    "vaultr_pool_in_use", "Database connections in use", "pool", kind="live_sum"
)
POOL_SIZE = GaugeMetric(
    "vaultr_pool_size", "Maximum number of database connections", "pool", kind="live_sum"
)
SWITCHED_OFF = GaugeMetric("vaultr_switched_off", "1 while the feature is switched off", "switch")

# --- The installation, measured by background jobs ---
OUTBOX_AGE = GaugeMetric("vaultr_outbox_age_seconds", "Age of the oldest waiting email")
MAILS = CounterMetric(
    "vaultr_mails_total",
    "Delivery attempts by outcome",
    "outcome",
    starts=("sent", "waits", "dead"),
)
DEAD_LETTERS = GaugeMetric("vaultr_dead_letters", "Undeliverable emails that are still stored")
AUDIT_LAG = GaugeMetric(
    "vaultr_audit_lag_seconds", "Age of the oldest event that no checkpoint covers"
)
AUDIT_HALTED = GaugeMetric("vaultr_audit_halted", "1 while the sequencer signs no checkpoints")
AUDIT_SEQUENCED = CounterMetric(
    "vaultr_audit_sequenced_total", "Audit events that were added to a tree"
)
AUDIT_FAULTS = CounterMetric(
    "vaultr_audit_faults_total",
    "Faulty events that were sequenced with a finding",
    "kind",
    starts=("gap", "mac"),
)
AUDIT_ANCHOR_FAILURES = CounterMetric(
    "vaultr_audit_anchor_failures_total", "Checkpoints that an anchor did not accept", "anchor"
)
AUDIT_MISSING = GaugeMetric(
    "vaultr_audit_missing_events",
    "Committed events of this process that are in no tree and not pending",
    kind="live_sum",
)
BACKUP_AGE = GaugeMetric("vaultr_backup_age_seconds", "Age of the last verified backup")
DRILL_AGE = GaugeMetric("vaultr_drill_age_seconds", "Age of the last successful restore drill")
CERTIFICATE_DAYS = GaugeMetric(
    "vaultr_certificate_days", "Days until the certificate of BASE_URL expires"
)
# Not `job`: Prometheus uses that label for scrape jobs.
JOB_TIME = HistogramMetric(
    "vaultr_job_seconds", "Duration of a part of a job", "task", buckets=JOB_SECONDS
)
JOB_FAILURES = CounterMetric("vaultr_job_failures_total", "Failed parts of a job", "task")
JOB_DONE = GaugeMetric("vaultr_job_done_timestamp_seconds", "Time of a job's last success", "task")
