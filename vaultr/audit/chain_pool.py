"""The writers of this process; each has a chain's head and serves one transaction at a time.

A transaction takes a writer, and gives it back if its head still matches the database. A writer
whose head is unknown, or whose epoch has passed, is not used again: its chain has ended. The first
event of a later writer names the ended chain (`Writer.after`).
"""

import os
import secrets
import threading
import weakref
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

from vaultr.audit import chain

End = Literal["clean", "unknown"]

RECENT_EVENTS: Final = 1000  # events of each writer
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The previous writer, and whether the end of its chain is known."""

    writer_id: bytes
    end: End


@dataclass(eq=False)
class Writer:
    """The head of one chain: its number of events, and the hash and time of the last one.

    :ivar generation: the pool's generation when this writer was created; `Pool.drop_all` begins a
        new one, and writers of earlier ones are not used again.
    :ivar after: an ended chain, which the first event of this chain names.
    :ivar recent: ids and hashes of the last committed events, for the self-audit.
    """

    id: bytes
    epoch: int
    generation: int
    after: Predecessor | None
    seq: int = 0
    head: bytes = b""
    last: datetime = BEGINNING
    recent: "deque[tuple[UUID, bytes]]" = field(default_factory=lambda: deque(maxlen=RECENT_EVENTS))

    @property
    def started(self) -> bool:
        """Whether its first event is committed."""
        return self.seq > 0

    def state(self) -> tuple[int, bytes, datetime]:
        """Return the state for `restore`."""
        return self.seq, self.head, self.last

    def restore(self, state: tuple[int, bytes, datetime]) -> None:
        """Go back to a state after a rollback."""
        self.seq, self.head, self.last = state


def epoch_of(moment: datetime) -> int:
    """Return the insertion epoch of ``moment``: its month, as 202611."""
    return moment.year * 100 + moment.month


class Pool:
    """The idle writers. The pool grows with the number of concurrent transactions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Writer] = []
        self._all: weakref.WeakSet[Writer] = weakref.WeakSet()
        self._ended: deque[Predecessor] = deque()  # chains that no later writer names yet
        self._generation = 0
        self.origin: str | None = None
        _pools.add(self)

    def take(self, now: datetime) -> Writer:
        """Take an idle writer of the current epoch, or create one."""
        with self._lock:
            while self._idle:
                writer = self._idle.pop()
                if writer.epoch >= epoch_of(now):
                    return writer
                self._ended.append(Predecessor(writer.id, "clean"))
            after = self._ended.popleft() if self._ended else None
            fresh = Writer(secrets.token_bytes(16), epoch_of(now), self._generation, after)
            fresh.head = chain.genesis(fresh.id)
            self._all.add(fresh)
            return fresh

    def give_back(self, writer: Writer) -> None:
        """Return a writer to the pool; its head must match the database."""
        with self._lock:
            if writer.started and writer.generation == self._generation:
                self._idle.append(writer)
            elif writer.started:
                self._ended.append(Predecessor(writer.id, "unknown"))
            elif writer.after is not None:
                self._ended.appendleft(writer.after)

    def drop(self, writer: Writer) -> None:
        """Abandon a writer whose last events may not be committed."""
        with self._lock:
            self._ended.append(Predecessor(writer.id, "unknown"))

    def drop_all(self) -> None:
        """Abandon all writers, idle or in use, because the database may have lost events."""
        with self._lock:
            self._generation += 1
            self._ended += [Predecessor(writer.id, "unknown") for writer in self._idle]
            self._idle.clear()

    def any_idle(self) -> bool:
        """Check whether a writer is idle."""
        with self._lock:
            return bool(self._idle)

    def recent(self) -> list[tuple[UUID, bytes]]:
        """Return ids and hashes of the last committed events of all writers."""
        with self._lock:
            return [event for writer in list(self._all) for event in list(writer.recent)]

    def confirm(self, sequenced: set[UUID]) -> None:
        """Forget recent events that a tree includes."""
        with self._lock:
            for writer in list(self._all):
                left = [event for event in list(writer.recent) if event[0] not in sequenced]
                writer.recent = deque(left, maxlen=RECENT_EVENTS)

    def forget(self) -> None:
        """Forget all writers: this is a new process, or the database was replaced."""
        # the thread that holds the lock does not exist in a forked child
        self._lock = threading.Lock()
        self._generation += 1
        self._idle, self._ended, self.origin = [], deque(), None
        self._all = weakref.WeakSet()


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.forget()


os.register_at_fork(after_in_child=_after_fork)
