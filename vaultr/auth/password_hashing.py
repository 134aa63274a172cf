"""Password hashing: verify auth keys, with a bounded queue in each process."""

import base64
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar
from uuid import UUID

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError
from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.errors import Busy
from vaultr.observability import logs, metrics
from vaultr.observability.tracing import spans
from vaultr.ratelimit import limits
from vaultr.ratelimit.sliding_window import Count
from vaultr.request_context import current_origin
from vaultr.security import keyring
from vaultr.settings.model import Settings, current_settings

WAIT_SECONDS: Final = 3.0  # the default of LOGIN_WAIT_SECONDS
_PLACES_OF_ADDRESS: Final = 2
_SHARE_OF_ADDRESS: Final = 3  # the maximum share of a queue for one client address
# Nice value: on a busy core, requests without a hash get three quarters of the time. At nice 10
# they got nine tenths, so that the requests of an abuser delayed the logins of others.
_NICE: Final = 5

# m in KiB. Source: OWASP Password Storage Cheat Sheet, second of its equivalent choices. The hashed
# key has 256 bits; the client's own Argon2id protects the password.
_LIVE: Final = PasswordHasher(
    time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)

T = TypeVar("T")
# The number of slots in the queue that each name may use.
Quotas: TypeAlias = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Verifier:
    """The stored verifier of an auth key: a PHC string and the id of its pepper."""

    phc: str = field(repr=False)
    pepper_id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a check; ``renewed`` replaces a verifier with an old cost or pepper."""

    right: bool
    renewed: Verifier | None = None


class HashGate:
    """A queue that limits the hashes that run or wait, and rejects further ones.

    Argon2 releases the interpreter lock, so unbounded threads would use unbounded memory. The
    hashing threads have a lower priority, so that logins hardly delay other requests. The queue is
    first in, first out.

    Nobody can fill the queue alone: each name (a login counter or client address) has a quota of
    hashes in the queue, including running ones. Hashes over the quota wait outside of the queue.
    Two client addresses together cannot fill the queue either, however short it is.

    :param slots: number of hashes computed at the same time.
    :param places: number of further hashes that may wait.
    :param wait_seconds: how long each may wait.
    """

    def __init__(self, slots: int, places: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._most = slots + places
        self._places = places
        self.places_of_address = max(1, min(_PLACES_OF_ADDRESS, self._most // _SHARE_OF_ADDRESS))
        self._lock = threading.Condition()
        self._inside = 0
        self._beside = 0
        self._taken: Counter[str] = Counter()
        # Starts no thread before the first hash, so it can be created before a fork.
        self._pool = ThreadPoolExecutor(slots, "hash", initializer=_lower_priority)

    def run(self, work: Callable[[], T], quotas: Quotas = MappingProxyType({})) -> T:
        """Run ``work`` in a hashing thread. The caller must not hold a database connection.

        :param quotas: how many slots each name may use at the same time.
        :raises Busy: the queue or a quota is full, or ``work`` did not start in time.
        """
        with self._lock:
            self._wait_for_quotas(quotas)
            if self._inside >= self._most:
                raise Busy
            self._inside += 1
            self._taken.update(quotas.keys())
        with spans.span("argon2"):
            return self._in_turn(work, quotas)

    def _in_turn(self, work: Callable[[], T], quotas: Quotas) -> T:
        queued = time.monotonic()

        def timed() -> T:
            metrics.HASH_WAIT.observe(time.monotonic() - queued)
            return work()

        future = self._pool.submit(timed)
        future.add_done_callback(partial(self._leave, quotas))
        with suppress(TimeoutError):
            return future.result(self._wait_seconds)
        if future.cancel():  # true only if the work has not started
            raise Busy
        return future.result()

    def check(self, quotas: Quotas = MappingProxyType({})) -> None:
        """Raise `Busy` if the queue is full, before doing more work for the request.

        :raises Busy: the queue is full now; `run` checks again.
        """
        with self._lock:
            if self._inside >= self._most:
                raise Busy
            if self._beside >= self._places and not self._fits(quotas):
                raise Busy

    def _fits(self, quotas: Quotas) -> bool:
        return all(self._taken[name] < most for name, most in quotas.items())

    def _wait_for_quotas(self, quotas: Quotas) -> None:
        if self._fits(quotas):
            return
        if self._beside >= self._places:
            raise Busy
        self._beside += 1
        try:
            if not self._lock.wait_for(lambda: self._fits(quotas), self._wait_seconds):
                raise Busy
        finally:
            self._beside -= 1

    def _leave(self, quotas: Quotas, _future: "Future[T]") -> None:
        with self._lock:
            self._inside -= 1
            self._taken.subtract(quotas.keys())
            for name in quotas:
                if self._taken[name] <= 0:
                    del self._taken[name]
            self._lock.notify_all()


def _lower_priority() -> None:
    # On Linux each thread has its own priority; other systems do not support this.
    with suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(now, _NICE))


_GATE: Final = AppSlot[HashGate]("auth.hash_gate")


def init_app(app: Flask, settings: Settings) -> None:
    """Create this process's hash queue, for its share of the cores."""
    slots = max(1, (os.cpu_count() or 1) // settings.web_concurrency)
    gate = HashGate(slots, settings.max_waiting_logins, settings.login_wait_seconds)
    _GATE.set(app, gate)


def count_for_account(account_id: UUID) -> None:
    """Count a hash that a live session requests, before it is computed.

    :raises TooMany: the sessions of the account have used up LIMIT_HASHES.
    """
    limits.take(Count(f"h:{account_id.hex}", current_settings().limit_hashes))


def check_queue(counter: str | None = None) -> None:
    """Check whether the queue would accept a hash now.

    :param counter: the login counter of the request.
    :raises Busy: the queue is full.
    """
    _gate().check(_quotas(counter))


def new_verifier(auth_key: bytes, *, counter: str | None = None) -> Verifier:
    """Return the verifier of a new auth key.

    :param counter: the login counter of the request; None for a signup.
    :raises Busy: the queue is full.
    """
    ring = keyring.current().pepper
    pepper_id, pepper = ring.current_id, ring.current
    return _gate().run(lambda: _compute(auth_key, pepper_id, pepper), _quotas(counter))


def verify(auth_key: bytes, stored: Verifier | None, *, counter: str | None = None) -> Verdict:
    """Verify an auth key. Without a verifier, take the same time and return that it is wrong.

    If the key is right but the verifier has an old cost or pepper, also return a new verifier.

    :raises Busy: the queue is full.
    """
    ring = keyring.current().pepper
    pepper = ring.find(stored.pepper_id) if stored else ring.current
    if pepper is None:
        logs.warning("pepper.missing")
        stored, pepper = None, ring.current
    proof = _peppered(auth_key, pepper)
    phc = stored.phc if stored else _random_phc()
    current_id, current = ring.current_id, ring.current

    def work() -> Verdict:
        if not _matches(phc, proof) or stored is None:
            return Verdict(right=False)
        if stored.pepper_id == current_id and not _LIVE.check_needs_rehash(phc):
            return Verdict(right=True)
        return Verdict(right=True, renewed=_compute(auth_key, current_id, current))

    return _gate().run(work, _quotas(counter))


def _quotas(counter: str | None) -> Quotas:
    """Return how many slots the counter and the client address of this request may use."""
    address = {f"a:{current_origin().address}": _gate().places_of_address}
    return address if counter is None else {counter: 1, **address}


def _gate() -> HashGate:
    return _GATE.get()


def _peppered(auth_key: bytes, pepper: bytes) -> bytes:
    return hmac.digest(pepper, auth_key, hashlib.sha256)


def _compute(auth_key: bytes, pepper_id: str, pepper: bytes) -> Verifier:
    metrics.HASHES.inc()
    return Verifier(_LIVE.hash(_peppered(auth_key, pepper)), pepper_id)


def _matches(phc: str, proof: bytes) -> bool:
    metrics.HASHES.inc()
    try:
        return _LIVE.verify(phc, proof)
    except VerifyMismatchError:
        return False


def _random_phc() -> str:
    """Return a verifier that matches no key: a random hash with the current cost."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()
        for size in (_LIVE.salt_len, _LIVE.hash_len)
    )
    cost = f"m={_LIVE.memory_cost},t={_LIVE.time_cost},p={_LIVE.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"
