"""The writers of this process: each the head of one chain, lent to one transaction at a time."""

import os
import secrets
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from vaultr.audit import chain

End = Literal["clean", "unknown"]

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The writer after whom one starts, and whether it is known where its chain ended."""

    writer_id: bytes
    end: End


@dataclass(slots=True)
class Writer:
    """One chain: how many events it has, the hash of the last, and when that was."""

    id: bytes
    epoch: int
    generation: int
    after: Predecessor | None
    seq: int = 0
    head: bytes = b""
    last: datetime = BEGINNING

    @property
    def started(self) -> bool:
        """Whether its first event stands in the database."""
        return self.seq > 0

    def state(self) -> tuple[int, bytes, datetime]:
        """Give what `restore` takes."""
        return self.seq, self.head, self.last

    def restore(self, state: tuple[int, bytes, datetime]) -> None:
        """Be again as before some events that were undone."""
        self.seq, self.head, self.last = state


def epoch_of(moment: datetime) -> int:
    """Give the epoch in which events of ``moment`` are written: the month, as 202611."""
    return moment.year * 100 + moment.month


class Pool:
    """Writers that nobody uses now. As many come to be as transactions record at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Writer] = []
        self._ended: deque[Predecessor] = deque()
        self._generation = 0
        self.origin: str | None = None
        _pools.add(self)

    def take(self, now: datetime) -> Writer:
        """Lend a writer of the present epoch, a new one if need be."""
        with self._lock:
            while self._idle:
                writer = self._idle.pop()
                if writer.epoch >= epoch_of(now):
                    return writer
                self._ended.append(Predecessor(writer.id, "clean"))
            after = self._ended.popleft() if self._ended else None
            fresh = Writer(secrets.token_bytes(16), epoch_of(now), self._generation, after)
            fresh.head = chain.genesis(fresh.id)
            return fresh

    def give_back(self, writer: Writer) -> None:
        """Take back a writer whose chain in the database ends where it says."""
        with self._lock:
            if writer.started and writer.generation == self._generation:
                self._idle.append(writer)
            elif writer.started:
                self._ended.append(Predecessor(writer.id, "unknown"))
            elif writer.after is not None:
                self._ended.appendleft(writer.after)

    def drop(self, writer: Writer) -> None:
        """Give a writer up, because nobody knows whether its last events were committed."""
        with self._lock:
            self._ended.append(Predecessor(writer.id, "unknown"))

    def drop_all(self) -> None:
        """Give all writers up, lent ones at their return: the database may have lost a tail."""
        with self._lock:
            self._generation += 1
            self._ended += [Predecessor(writer.id, "unknown") for writer in self._idle]
            self._idle.clear()

    def any_idle(self) -> bool:
        """Tell whether a writer is here that nobody uses now."""
        with self._lock:
            return bool(self._idle)

    def forget(self) -> None:
        """Be as at the start of a process; another one, or another database, goes on from here."""
        self._lock = threading.Lock()  # whoever held it before a fork is not here any more
        self._generation += 1
        self._idle, self._ended, self.origin = [], deque(), None


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.forget()


os.register_at_fork(after_in_child=_after_fork)
