"""The numbers of a running server; `metrics` counts and never asks a feature."""

from prometheus_client import Counter, Gauge, Histogram

REDIS_AWAY = Gauge(
    "vaultr_redis_away", "1 while limits are counted without Redis", multiprocess_mode="max"
)
DENIED = Counter("vaultr_denied_total", "Requests refused by a limit or at the door", ["reason"])
LOGINS = Counter("vaultr_logins_total", "Logins by outcome", ["outcome"])
HASHES = Counter("vaultr_hashes_total", "Verifiers computed")
HASH_WAIT = Histogram("vaultr_hash_wait_seconds", "Time that a login waited for its hash")
OUTBOX_AGE = Gauge(
    "vaultr_outbox_age_seconds", "Age of the oldest waiting mail", multiprocess_mode="max"
)
