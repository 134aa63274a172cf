"""Password hashing: checks auth keys, with a bounded queue for each process."""

import base64
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError
from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.errors import Busy
from vaultr.observability import logs, metrics
from vaultr.observability.tracing import spans
from vaultr.security import keyring
from vaultr.settings.model import Settings

WAIT_SECONDS: Final = 1.0
_NICE: Final = 10  # nice value: requests without a hash run first

# m in KiB. Source: OWASP Password Storage Cheat Sheet, second of its equivalent choices. The hashed
# key has 256 bits; the client's own Argon2id protects the password.
_LIVE: Final = PasswordHasher(
    time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verifier:
    """The stored verifier of an auth key: a PHC string and the id of its pepper."""

    phc: str = field(repr=False)
    pepper_id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the key was right; ``renewed`` replaces a verifier with an old cost or pepper."""

    right: bool
    renewed: Verifier | None = None


class HashGate:
    """A queue for hashes that limits running and waiting ones, and rejects the rest.

    Argon2 releases the interpreter lock, so unbounded threads would use unbounded memory. The
    hashing threads have low priority and leave the cores to other requests. First come, first
    served.

    :param slots: hashes computed at the same time.
    :param places: further hashes that may wait.
    """

    def __init__(self, slots: int, places: int) -> None:
        self._most = slots + places
        self._lock = threading.Lock()
        self._inside = 0
        # It starts no thread before the first hash, so it can be created before a fork.
        self._pool = ThreadPoolExecutor(slots, "hash", initializer=_lower_priority)

    def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a hashing thread. The caller must not hold a database connection.

        :raises Busy: the queue is full, or ``work`` did not start within a second.
        """
        with self._lock:
            if self._inside >= self._most:
                raise Busy
            self._inside += 1
        with spans.span("argon2"):
            return self._in_turn(work)

    def _in_turn(self, work: Callable[[], T]) -> T:
        queued = time.monotonic()

        def timed() -> T:
            metrics.HASH_WAIT.observe(time.monotonic() - queued)
            return work()

        future = self._pool.submit(timed)
        future.add_done_callback(self._leave)
        with suppress(TimeoutError):
            return future.result(WAIT_SECONDS)
        if future.cancel():  # true only if it has not started
            raise Busy
        return future.result()

    def check(self) -> None:
        """Raise `Busy` if the queue is full, before more work is done for a request.

        :raises Busy: the queue is full now; `run` checks again.
        """
        if self._inside >= self._most:
            raise Busy

    def _leave(self, _future: "Future[T]") -> None:
        with self._lock:
            self._inside -= 1


def _lower_priority() -> None:
    # On Linux each thread has its own priority; other systems do not support this.
    with suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(now, _NICE))


_GATE: Final = AppSlot[HashGate]("auth.hash_gate")


def init_app(app: Flask, settings: Settings) -> None:
    """Create the hash queue of this process, for its share of the cores."""
    slots = max(1, (os.cpu_count() or 1) // settings.web_concurrency)
    _GATE.set(app, HashGate(slots, settings.max_waiting_logins))


def check_queue() -> None:
    """Check whether the queue would accept a hash now.

    :raises Busy: it would not.
    """
    _gate().check()


def new_verifier(auth_key: bytes) -> Verifier:
    """Return the verifier of a new auth key.

    :raises Busy: the queue is full.
    """
    ring = keyring.current().pepper
    pepper_id, pepper = ring.current_id, ring.current
    return _gate().run(lambda: _compute(auth_key, pepper_id, pepper))


def verify(auth_key: bytes, stored: Verifier | None) -> Verdict:
    """Check an auth key. Without a verifier, take the same time and return False.

    A right key whose verifier has an old cost or pepper gets a renewed verifier in the same step.

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

    return _gate().run(work)


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
    """Return a verifier that matches no key: its hash is random, its cost is the current one."""
    salt, drawn = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()
        for size in (_LIVE.salt_len, _LIVE.hash_len)
    )
    cost = f"m={_LIVE.memory_cost},t={_LIVE.time_cost},p={_LIVE.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${drawn}"
