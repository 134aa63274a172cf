"""Compute how many database connections an installation opens.

`flask doctor` uses this formula, the chart's NOTES.txt repeats it (a test compares the results),
and docs/performance.md explains it.
"""

from dataclasses import dataclass
from typing import Final

WORKER: Final = 4  # `flask worker`: one job at a time, its lock, and the kill switches
SEQUENCER: Final = 4  # `flask worker --only audit`: like the worker; both colours share one
PROBE: Final = 1  # /api/ready opens its own connection, once for each pod
MIGRATION: Final = 2  # `flask db upgrade`: its lock, and the statements
OTHERS: Final = 5  # reserve for people, backups, cron jobs and monitoring


@dataclass(frozen=True, slots=True)
class Deployment:
    """The processes that connect to the database, and the connections that each may open.

    :ivar pods: web pods of one colour.
    :ivar processes: worker processes of a pod (WEB_CONCURRENCY).
    :ivar threads: threads of a process (WEB_THREADS); a thread holds one connection at a time.
    :ivar pools: the size of each connection pool, overflow included.
    :ivar inline: whether each process does the background work, without worker and sequencer.
    """

    pods: int
    processes: int
    threads: int
    pools: tuple[int, int]
    inline: bool = False

    @property
    def process(self) -> int:
        """Return the maximum number of connections of one worker process.

        The second pool also serves the thread that reads the kill switches.
        """
        transactions, statements = self.pools
        background = WORKER if self.inline else 0
        return min(self.threads, transactions) + min(self.threads + 1, statements) + background

    @property
    def colour(self) -> int:
        """Return the maximum number of connections of one colour's pods and worker."""
        pod = self.processes * self.process + PROBE
        return self.pods * pod + (0 if self.inline else WORKER)

    @property
    def shared(self) -> int:
        """Return the maximum number of connections of processes that run once, for both colours."""
        return 0 if self.inline else SEQUENCER

    @property
    def usual(self) -> int:
        """Return the maximum number of connections while one colour runs."""
        return self.colour + self.shared

    @property
    def during_release(self) -> int:
        """Return the maximum number of connections during a release: two colours, a migration."""
        return 2 * self.colour + self.shared + MIGRATION
