"""Checks the key by which a client proves its password, behind the one gate of this process."""

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
_LESS_URGENT: Final = 10  # nice value: whoever reads goes before whoever signs in

# m in KiB. Source: OWASP Password Storage Cheat Sheet, the second of its equal choices; the key
# that is hashed has 256 bits, of which the client's own Argon2id guards the password.
_LIVE: Final = PasswordHasher(
    time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verifier:
    """What is kept of an auth key: a PHC text, and the id of the pepper that went in."""

    phc: str = field(repr=False)
    pepper_id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the key was right; ``renewed`` replaces a verifier of an old cost or pepper."""

    right: bool
    renewed: Verifier | None = None


class HashGate:
    """Lets so many hashes be computed at a time, so many wait, and turns the others away.

    Argon2 lets go of the interpreter's lock, so unbounded threads would take unbounded memory; and
    hashing threads of lower priority leave the cores to whoever reads. First come, first served.

    :param slots: hashes computed at a time.
    :param places: how many more may wait.
    """

    def __init__(self, slots: int, places: int) -> None:
        self._most = slots + places
        self._lock = threading.Lock()
        self._inside = 0
        # Starts no thread before the first hash, so it may be made before a fork.
        self._pool = ThreadPoolExecutor(slots, "hash", initializer=_step_back)

    def run(self, work: Callable[[], T]) -> T:
        """Do ``work`` in a hashing thread. The caller must hold no database connection.

        :raises Busy: the queue is full, or ``work`` had not begun after a second.
        """
        with self._lock:
            if self._inside >= self._most:
                raise Busy
            self._inside += 1
        with spans.span("argon2"):
            return self._in_turn(work)

    def _in_turn(self, work: Callable[[], T]) -> T:
        came = time.monotonic()

        def timed() -> T:
            metrics.HASH_WAIT.observe(time.monotonic() - came)
            return work()

        future = self._pool.submit(timed)
        future.add_done_callback(self._leave)
        with suppress(TimeoutError):
            return future.result(WAIT_SECONDS)
        if future.cancel():  # which only what has not begun lets happen
            raise Busy
        return future.result()

    def check(self) -> None:
        """Turn away whoever would find the queue full, before more is done for them.

        :raises Busy: it is full now; whether it will be when they come, `run` finds out.
        """
        if self._inside >= self._most:
            raise Busy

    def _leave(self, _future: "Future[T]") -> None:
        with self._lock:
            self._inside -= 1


def _step_back() -> None:
    # On Linux a thread has a priority of its own; elsewhere this is refused or unknown.
    with suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(now, _LESS_URGENT))


_GATE: Final = AppSlot[HashGate]("auth.hash_gate")


def init_app(app: Flask, settings: Settings) -> None:
    """Give the process its gate: its share of the cores, and a queue shorter than its threads."""
    slots = max(1, (os.cpu_count() or 1) // settings.web_concurrency)
    _GATE.set(app, HashGate(slots, settings.login_places))


def check_queue() -> None:
    """Ask the gate whether it would turn somebody away now.

    :raises Busy: it would.
    """
    _gate().check()


def new_verifier(auth_key: bytes) -> Verifier:
    """Compute what to keep of a new auth key.

    :raises Busy: the gate is full.
    """
    ring = keyring.current().pepper
    pepper_id, pepper = ring.current_id, ring.current
    return _gate().run(lambda: _made(auth_key, pepper_id, pepper))


def verify(auth_key: bytes, kept: Verifier | None) -> Verdict:
    """Check an auth key; without a verifier take the same time at the live cost, and say no.

    A right key whose verifier has an old cost or pepper gets a renewed one, in the same turn.

    :raises Busy: the gate is full.
    """
    ring = keyring.current().pepper
    pepper = ring.find(kept.pepper_id) if kept else ring.current
    if pepper is None:
        logs.warning("pepper.missing")
        kept, pepper = None, ring.current
    proof = _peppered(auth_key, pepper)
    phc = kept.phc if kept else _nobodys()
    current_id, current = ring.current_id, ring.current

    def work() -> Verdict:
        if not _matches(phc, proof) or kept is None:
            return Verdict(right=False)
        if kept.pepper_id == current_id and not _LIVE.check_needs_rehash(phc):
            return Verdict(right=True)
        return Verdict(right=True, renewed=_made(auth_key, current_id, current))

    return _gate().run(work)


def _gate() -> HashGate:
    return _GATE.get()


def _peppered(auth_key: bytes, pepper: bytes) -> bytes:
    return hmac.digest(pepper, auth_key, hashlib.sha256)


def _made(auth_key: bytes, pepper_id: str, pepper: bytes) -> Verifier:
    metrics.HASHES.inc()
    return Verifier(_LIVE.hash(_peppered(auth_key, pepper)), pepper_id)


def _matches(phc: str, proof: bytes) -> bool:
    metrics.HASHES.inc()
    try:
        return _LIVE.verify(phc, proof)
    except VerifyMismatchError:
        return False


def _nobodys() -> str:
    """Write a verifier of the live cost that no key fits: its hash is drawn, not computed."""
    salt, drawn = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()
        for size in (_LIVE.salt_len, _LIVE.hash_len)
    )
    cost = f"m={_LIVE.memory_cost},t={_LIVE.time_cost},p={_LIVE.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${drawn}"
