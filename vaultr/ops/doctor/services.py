"""Check Redis, the clocks, backups and background jobs."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import redis
import sqlalchemy as sa

from vaultr import clock
from vaultr.database.base import Utc
from vaultr.database.session import postgresql, reading
from vaultr.machines import service as machines
from vaultr.ops import last_runs
from vaultr.ops.check_result import CheckResult, ok, problem, warning
from vaultr.ops.doctor.tls_severity import severity
from vaultr.ops.last_runs import RunKind
from vaultr.ratelimit import limiter
from vaultr.settings.model import Settings
from vaultr.settings.types import loopback

SLOW_SECONDS: Final = 0.02
APART_SECONDS: Final = 5.0
TOKENS_FAIL_SECONDS: Final = 30.0  # the leeway of access tokens
OLDEST_BACKUP: Final = timedelta(hours=26)
OLDEST_DRILL: Final = timedelta(days=30)
WORKER_GONE_SECONDS: Final = 180.0  # a worker reports every minute


def check_redis(settings: Settings) -> Iterator[CheckResult]:
    """Report the state of Redis: reachable, speed, TLS, and whether it may lose counters."""
    client = limiter.current().redis
    if client is None or settings.redis_url is None:
        yield ok("redis", "not used: limits are counted in memory by a single process")
        return
    todo = (
        "Check that Redis runs and that REDIS_URL is correct: user, password, rediss://"
        " (docs/runbook.md, VaultrRedisAway). Limits still apply."
    )
    began = time.monotonic()
    try:
        client.ping()
        began = time.monotonic()
        client.ping()
        taken = time.monotonic() - began
    except (redis.RedisError, OSError) as error:
        yield problem("redis", f"does not respond: {type(error).__name__}", todo)
        return
    if not limiter.current().reachable():
        yield problem(
            "redis", "responds, but does not count: full, read-only, or without permission", todo
        )
        return
    says = f"counts, responds in {taken * 1000:.1f} ms"
    if taken > SLOW_SECONDS:
        yield warning(
            "redis",
            says,
            "This is slow, and each request waits for it. Check that Redis is in the same region.",
        )
    else:
        yield ok("redis", says)
    host = str(client.connection_pool.connection_kwargs.get("host") or "localhost")
    if settings.redis_url.get_secret_value().startswith("redis://") and not loopback(host):
        level = severity(host, production=settings.production)
        yield level("redis", "the connection is not encrypted", "Use rediss:// in REDIS_URL.")
    yield from _eviction(client, settings)


def _eviction(client: "redis.Redis", settings: Settings) -> Iterator[CheckResult]:
    """Check that Redis never evicts counters. They have an expiry, so `volatile-*` evicts them."""
    try:
        memory: Any = client.info("memory")
    except redis.RedisError:
        todo = "Allow the command INFO, or make sure that maxmemory-policy is noeviction."
        yield warning("redis", "its eviction policy cannot be read", todo)
        return
    policy = str(memory.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        yield ok("redis", f"eviction policy {policy}")
        return
    level = problem if settings.production else warning
    todo = "Set maxmemory-policy to noeviction (docs/deployment.md, Cache)."
    yield level("redis", f"eviction policy {policy}: an evicted counter resets a limit", todo)


def check_clock() -> Iterator[CheckResult]:
    """Compare this machine's clock with the clocks of the database and of Redis."""
    clocks = []
    if postgresql():
        with reading() as session:
            now = sa.text("SELECT clock_timestamp()").columns(sa.column("n", Utc()))
            moment = session.execute(now).scalar_one()
        clocks.append(("the database", (moment - clock.now()).total_seconds()))
    client = limiter.current().redis
    if client is not None:
        with suppress(redis.RedisError, OSError):  # the check of Redis reports that
            seconds, microseconds = client.time()
            other = seconds + microseconds / 1e6
            clocks.append(("Redis", other - clock.now().timestamp()))
    todo = "Synchronise all machines with the same time server (chrony, systemd-timesyncd)."
    for name, apart in clocks:
        says = f"the clocks of {name} and this machine differ by {abs(apart):.1f} s"
        if abs(apart) > TOKENS_FAIL_SECONDS:
            yield problem("clock", f"{says}, so tokens and codes are rejected", todo)
        elif abs(apart) > APART_SECONDS:
            yield warning("clock", says, todo)
        else:
            yield ok("clock", says)
    if not clocks:
        yield ok("clock", f"{clock.text(clock.now())}; there is no other clock to compare with")


def check_backups(settings: Settings) -> Iterator[CheckResult]:
    """Report the age of the last verified backup and of the last restore drill."""
    level = problem if settings.production else warning
    wanted = (
        (RunKind.BACKUP_VERIFIED, OLDEST_BACKUP, "verified backup"),
        (RunKind.DRILL, OLDEST_DRILL, "restore drill"),
    )
    todo = "Run `flask backup create`, then `flask backup drill` (docs/runbook.md, Back up)."
    for kind, most, name in wanted:
        reached = last_runs.last(kind)
        if reached is None:
            yield level("backup", f"there was no {name} yet", todo)
        elif reached.age_seconds > most.total_seconds():
            days = reached.age_seconds / 86_400
            yield level("backup", f"the last {name} is {days:.1f} days old", todo)
        else:
            yield ok("backup", f"the last {name} is {reached.age_seconds / 3600:.1f} h old")


def check_machines() -> Iterator[CheckResult]:
    """Count the machines of all accounts, and those that have expired."""
    found = machines.count_machines()
    says = f"{found.all}, of which {found.expired} expired"
    if found.expired:
        todo = "You need not do anything: their owners got an email, and can delete or renew them."
        yield warning("machines", says, todo)
    else:
        yield ok("machines", says)


def check_worker(settings: Settings) -> Iterator[CheckResult]:
    """Check whether a process runs background jobs."""
    level = problem if settings.production else warning
    todo = (
        "Start `flask worker` (docs/runbook.md, VaultrWorkerGone). Until then emails wait, and"
        " expired rows stay."
    )
    reached = last_runs.last(RunKind.WORKER_SEEN)
    if reached is None:
        yield level("worker", "no process has done background work yet", todo)
    elif reached.age_seconds > WORKER_GONE_SECONDS:
        minutes = reached.age_seconds / 60
        yield level("worker", f"no process has done background work for {minutes:.0f} min", todo)
    else:
        yield ok("worker", f"last background work {reached.age_seconds:.0f} s ago")
