"""Check settings that are each valid but do not fit together, or not into production."""

import re
from collections.abc import Iterator, Set
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from vaultr.settings.types import CHECKPOINT_KEY, DEVELOPMENT, KEY_SETS, loopback

_HOST = re.compile(r"[A-Za-z0-9.-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
# Empty, or a host or IPv6 address, optionally with a port; with a port, IPv6 needs brackets.
_BIND = re.compile(
    r"(([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?|[0-9A-Fa-f:.]*(:[0-9A-Fa-f.]*){2,})?"
)
_MAILBOX = re.compile(r"[^@\s<>]+@[^@\s<>]+|[^<>]*<[^@\s<>]+@[^@\s<>]+>")
_READY = {"database", "redis", "none"}

# The settings that a rule reads, and a sentence about their problem.
Finding = tuple[set[str], str]


def problems(settings: Any, *, unread: Set[str] = frozenset()) -> list[str]:
    """Return the problems, without those that depend on a setting in ``unread``."""
    rules = (
        _addresses, _authorities, _breach, _mail, _audit, _backups, _capacity, _keys, _production
    )  # fmt: skip
    findings = [finding for rule in rules for finding in rule(settings)]
    return [sentence for names, sentence in findings if not names & unread]


def _addresses(settings: Any) -> Iterator[Finding]:
    if _origin(settings.base_url) is None:
        yield {"BASE_URL"}, "BASE_URL: must be a scheme and a host without a path"
    if any(_origin(origin) is None or origin.endswith("/") for origin in settings.cors_origins):
        yield (
            {"CORS_ORIGINS"},
            "CORS_ORIGINS: must be exact origins such as https://app.example.org",
        )
    if not all(_HOST.fullmatch(host) for host in settings.allowed_hosts):
        yield {"ALLOWED_HOSTS"}, "ALLOWED_HOSTS: must be host names without scheme, port or *"
    if not _BIND.fullmatch(settings.bind):
        yield {"BIND"}, "BIND: must be an address, or an address and a port such as 0.0.0.0:3000"
    if settings.metrics_port == settings.port:
        yield {"METRICS_PORT", "PORT"}, "METRICS_PORT: must differ from PORT"


def _breach(settings: Any) -> Iterator[Finding]:
    url = settings.breach_upstream_url
    if url is None:
        return
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    service = parts.scheme == "https" and bool(_HOST.fullmatch(parts.hostname or ""))
    file = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    if not (service or file) or parts.query or parts.fragment or "@" in parts.netloc:
        yield (
            {"BREACH_UPSTREAM_URL"},
            "BREACH_UPSTREAM_URL: must be https://HOST/PATH or file:///PATH of a sorted file",
        )


def _authorities(settings: Any) -> Iterator[Finding]:
    database = urlsplit(settings.database_url.get_secret_value())
    query = dict(parse_qsl(database.query))
    names = {"DATABASE_CA", "DATABASE_URL"}
    if settings.database_ca and "sslrootcert" in query:
        yield names, "DATABASE_CA: set either this or sslrootcert in DATABASE_URL, not both"
    if settings.database_ca and query.get("sslmode", "verify-full") != "verify-full":
        yield (
            names,
            "DATABASE_CA: needs sslmode=verify-full in DATABASE_URL, or no sslmode there",
        )
    redis = settings.redis_url.get_secret_value() if settings.redis_url else ""
    if settings.redis_ca and not redis.startswith("rediss://"):
        yield {"REDIS_CA", "REDIS_URL"}, "REDIS_CA: REDIS_URL must begin with rediss://"


def _origin(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    bare = not url.path.strip("/") and not url.query and not url.fragment and "@" not in url.netloc
    fits = url.scheme in ("http", "https") and bool(_HOST.fullmatch(url.hostname or ""))
    return url if bare and fits else None


def _mail(settings: Any) -> Iterator[Finding]:
    if not _MAILBOX.fullmatch(settings.smtp_from):
        yield {"SMTP_FROM"}, "SMTP_FROM: must be an email address, or Name <address>"
    if settings.smtp_host and settings.smtp_secure == "none" and not loopback(settings.smtp_host):
        names = {"SMTP_HOST", "SMTP_SECURE"}
        yield names, "SMTP_SECURE: `none` sends emails unencrypted and is for loopback hosts only"
    if (settings.smtp_user is None) != (settings.smtp_pass is None):
        yield {"SMTP_USER", "SMTP_PASS"}, "SMTP_USER, SMTP_PASS: set both or neither"


_SEED_BYTES = 32
_ANCHORS = ("file:///", "syslog://", "s3://", "witness+https://", "witness+http://")


def _audit(settings: Any) -> Iterator[Finding]:
    if not all(anchor.startswith(_ANCHORS) for anchor in settings.audit_anchors):
        message = "AUDIT_ANCHORS: must be file:///, syslog://, s3:// or witness+https:// URLs"
        yield {"AUDIT_ANCHORS"}, message
    stream = settings.audit_stream
    if stream is not None and stream != "stdout" and not stream.startswith("syslog://"):
        yield {"AUDIT_STREAM"}, "AUDIT_STREAM: must be `stdout` or a syslog:// URL"
    key = settings.checkpoint_key
    if key is not None and any(len(seed) != _SEED_BYTES for seed in key.by_id.values()):
        yield {CHECKPOINT_KEY}, "CHECKPOINT_KEY: must be Ed25519 seeds of exactly 32 bytes"
    if not settings.audit_lag_warn <= settings.audit_lag_degraded <= settings.audit_lag_refuse:
        names = {"AUDIT_LAG_WARN", "AUDIT_LAG_DEGRADED", "AUDIT_LAG_REFUSE"}
        yield (
            names,
            "AUDIT_LAG_WARN, AUDIT_LAG_DEGRADED, AUDIT_LAG_REFUSE: must not decrease in this order",
        )


_LOCATION = re.compile(r"/.*|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?")


def _backups(settings: Any) -> Iterator[Finding]:
    if settings.backup_location is not None and not _LOCATION.fullmatch(settings.backup_location):
        yield {"BACKUP_LOCATION"}, "BACKUP_LOCATION: must be an absolute path or s3://BUCKET/PREFIX"


def _capacity(settings: Any) -> Iterator[Finding]:
    if settings.redis_url is None and settings.web_concurrency > 1:
        names = {"REDIS_URL", "WEB_CONCURRENCY"}
        yield (
            names,
            "WEB_CONCURRENCY: must be 1 without REDIS_URL, because each process counts alone",
        )
    if settings.login_queue is not None and settings.login_queue >= settings.web_threads:
        names = {"LOGIN_QUEUE", "WEB_THREADS"}
        yield names, "LOGIN_QUEUE: must be below WEB_THREADS, or waiting logins take all threads"
    if settings.lockout_seconds > settings.lockout_max_seconds:
        names = {"LOCKOUT_SECONDS", "LOCKOUT_MAX_SECONDS"}
        yield names, "LOCKOUT_SECONDS: must be at most LOCKOUT_MAX_SECONDS"
    if settings.quota_item_bytes > settings.quota_vault_bytes:
        names = {"QUOTA_ITEM_BYTES", "QUOTA_VAULT_BYTES"}
        yield names, "QUOTA_ITEM_BYTES: must be at most QUOTA_VAULT_BYTES"
    if set(settings.ready_requires) - _READY:
        yield (
            {"READY_REQUIRES"},
            "READY_REQUIRES: must be `redis`, or `none` to be ready without Redis",
        )


def _keys(settings: Any) -> Iterator[Finding]:
    owner: dict[bytes, str] = {}
    for name in (*KEY_SETS, CHECKPOINT_KEY):
        keys = getattr(settings, name.lower())
        for key in keys.by_id.values() if keys else ():
            if owner.setdefault(key, name) != name:
                yield {name, owner[key]}, f"{name}: must differ from {owner[key]}"
        if settings.vaultr_env == "production" and keys and DEVELOPMENT in keys.by_id:
            yield (
                {name, "VAULTR_ENV"},
                f"{name}: the key `{DEVELOPMENT}` is for development; generate a new one",
            )


def _production(settings: Any) -> Iterator[Finding]:
    if settings.vaultr_env != "production":
        return
    if not settings.database_url.get_secret_value().startswith("postgresql"):
        names = {"VAULTR_ENV", "DATABASE_URL"}
        yield names, "DATABASE_URL: must be PostgreSQL in production"
    base = _origin(settings.base_url)
    named = all(_HOST.fullmatch(host) for host in settings.allowed_hosts)
    if base is not None and base.scheme != "https":
        yield {"VAULTR_ENV", "BASE_URL"}, "BASE_URL: must begin with https:// in production"
    if base is not None and named and base.hostname not in settings.hosts:
        names = {"VAULTR_ENV", "ALLOWED_HOSTS", "BASE_URL"}
        yield names, "ALLOWED_HOSTS: must contain the host of BASE_URL, to which emails link"
