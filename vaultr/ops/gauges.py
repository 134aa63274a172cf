"""Gauges about the installation, measured by every process that runs background jobs.

Every process measures all gauges. If only one did, a process that measured earlier would continue
to export its old values.
"""

import math

from vaultr.api import kill_switches
from vaultr.audit import service as audit
from vaultr.mail import service as mail
from vaultr.observability import metrics
from vaultr.ops import certificate, last_runs
from vaultr.ops.last_runs import RunKind
from vaultr.settings.model import current_settings


def measure() -> bool:
    """Set the gauges about the database.

    :return: False, because nothing is left to do.
    """
    mail.measure()
    for kind, gauge in (
        (RunKind.BACKUP_VERIFIED, metrics.BACKUP_AGE),
        (RunKind.DRILL, metrics.DRILL_AGE),
    ):
        reached = last_runs.last(kind)
        gauge.set(max(0.0, reached.age_seconds) if reached is not None else math.inf)
    if (seconds := audit.measured_lag_seconds()) is not None:
        metrics.AUDIT_LAG.set(seconds)
    kill_switches.refresh()
    return False


def show_life() -> bool:
    """Record in the database that background jobs run, for `flask doctor`.

    :return: False, because nothing is left to do.
    """
    last_runs.note(RunKind.WORKER_SEEN, {})
    return False


def measure_certificate() -> bool:
    """Set the days until the certificate of BASE_URL expires; 0 if it cannot be read.

    :return: False, because nothing is left to do.
    """
    settings = current_settings()
    try:
        seen = certificate.of_url(settings.base_url, settings.tls_context())
    except certificate.CertificateUnreadable:
        metrics.CERTIFICATE_DAYS.set(0)
        raise
    if seen is not None:
        metrics.CERTIFICATE_DAYS.set(seen.days if seen.distrusted is None else 0)
    return False
