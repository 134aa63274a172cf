"""The numbers about the installation: found out by every process that does background work.

Each does it for itself, not one of all: otherwise one that once did it would go on telling, for as
long as it lives, what it found out then.
"""

import math

from flask import current_app

from vaultr import metrics, switches
from vaultr.audit import lag
from vaultr.mail import outbox
from vaultr.operations import certificate, milestones
from vaultr.operations.milestones import Kind
from vaultr.settings import Settings


def measure() -> bool:
    """Measure what a look into the database tells.

    :return: False; nothing more is due now.
    """
    outbox.measure()
    for kind, gauge in (
        (Kind.BACKUP_VERIFIED, metrics.BACKUP_AGE),
        (Kind.DRILL, metrics.DRILL_AGE),
    ):
        reached = milestones.last(kind)
        gauge.set(max(0.0, reached.age_seconds) if reached is not None else math.inf)
    if (seconds := lag.seconds()) is not None:
        metrics.AUDIT_LAG.set(seconds)
    switches.look()
    return False


def show_life() -> bool:
    """Note in the database that background work is done, where `flask doctor` looks for it.

    :return: False; nothing more is due now.
    """
    milestones.note(Kind.WORKER_SEEN, {})
    return False


def measure_certificate() -> bool:
    """Measure how long the certificate of BASE_URL is still good; 0 days where none is seen.

    :return: False; nothing more is due now.
    """
    settings: Settings = current_app.config["SETTINGS"]
    try:
        seen = certificate.of_url(settings.base_url)
    except certificate.NotSeen:
        metrics.CERTIFICATE_DAYS.set(0)
        raise
    if seen is not None:
        metrics.CERTIFICATE_DAYS.set(seen.days if seen.distrusted is None else 0)
    return False
