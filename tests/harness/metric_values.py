"""Values of the metrics of this process."""

from prometheus_client import REGISTRY


def number(name, **labels):
    """Return the value of one series; 0 if it does not exist yet."""
    return REGISTRY.get_sample_value(name, labels) or 0


def hashes():
    """Return the number of verifiers that this process has computed."""
    return number("vaultr_hashes_total")
