"""The numbers about the installation: found out by every process that does background work.

Each does it for itself, not one of all: otherwise one that once did it would go on telling, for as
long as it lives, what it found out then.
"""

import math

from vaultr.api import kill_switches
from vaultr.audit import sequencer_lag
from vaultr.mail import service as mail
from vaultr.observability import metrics
from vaultr.ops import certificate, last_runs
from vaultr.ops.last_runs import Kind
from vaultr.settings.model import current_settings


def measure() -> bool:
    """Measure what a look into the database tells.

    :return: False; nothing more is due now.
    """
    mail.measure()
    for kind, gauge in (
        (Kind.BACKUP_VERIFIED, metrics.BACKUP_AGE),
        (Kind.DRILL, metrics.DRILL_AGE),
    ):
        reached = last_runs.last(kind)
        gauge.set(max(0.0, reached.age_seconds) if reached is not None else math.inf)
    if (seconds := sequencer_lag.seconds()) is not None:
        metrics.AUDIT_LAG.set(seconds)
    kill_switches.refresh()
    return False


def show_life() -> bool:
    """Note in the database that background work is done, where `flask doctor` looks for it.

    :return: False; nothing more is due now.
    """
    last_runs.note(Kind.WORKER_SEEN, {})
    return False


def measure_certificate() -> bool:
    """Measure how long the certificate of BASE_URL is still good; 0 days where none is seen.

    :return: False; nothing more is due now.
    """
    settings = current_settings()
    try:
        seen = certificate.of_url(settings.base_url)
    except certificate.NotSeen:
        metrics.CERTIFICATE_DAYS.set(0)
        raise
    if seen is not None:
        metrics.CERTIFICATE_DAYS.set(seen.days if seen.distrusted is None else 0)
    return False
