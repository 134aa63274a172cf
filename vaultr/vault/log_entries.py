"""The log of a vault: check the next entry and append it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr import clock
from vaultr.errors import FieldError
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import Entry, Op, head_of
from vaultr.ratelimit import limits
from vaultr.ratelimit.sliding_window import Window
from vaultr.request_context import Actor
from vaultr.settings.types import Rate
from vaultr.vault.errors import HeadMoved
from vaultr.vault.models import ENTRIES
from vaultr.vault.schemas import EntryIn


@dataclass(slots=True)
class Log:
    """The end of a vault's log under the vault's lock, and the entries added since.

    ``revision`` and ``head`` change with each entry; ``stored`` is the end that others still see.
    """

    vault_id: UUID
    author_id: UUID
    generation: int
    revision: int
    head: bytes
    added: list[dict[str, Any]] = field(default_factory=list)

    def check(self, entry: EntryIn, field_errors: Sequence[FieldError] = ()) -> None:
        """Check that ``entry`` is the next one.

        :raises HeadMoved: it is not; the error contains the stored revision and head.
        """
        if entry.n == self.revision + 1 and entry.prev == self.head:
            return
        revision, head = self.stored
        raise HeadMoved(errors=field_errors, members={"revision": revision, "head": b64(head)})

    @property
    def stored(self) -> tuple[int, bytes]:
        """Return the stored revision and head."""
        if self.added:
            return self.added[0]["n"] - 1, self.added[0]["prev"]
        return self.revision, self.head

    def extend(
        self, entry: EntryIn, op: Op, item_id: UUID | None, content_revision: int, content: bytes
    ) -> None:
        """Append a checked entry; the server fills in everything except its vouch and MAC."""
        complete = Entry(
            vault_id=self.vault_id,
            n=entry.n,
            prev=entry.prev,
            op=op,
            item_id=item_id,
            content_revision=content_revision,
            content=content,
            generation=self.generation,
            author_id=self.author_id,
            vouch=entry.vouch,
        )
        self.revision, self.head = entry.n, head_of(complete, entry.mac)
        self.added.append(
            {
                "vault_id": self.vault_id,
                "n": entry.n,
                "prev": entry.prev,
                "op": op.value,
                "item_id": item_id,
                "content_revision": content_revision,
                "content": content,
                "generation": self.generation,
                "author_id": self.author_id,
                "vouch": entry.vouch,
                "mac": entry.mac,
                "head": self.head,
            }
        )

    def event(self) -> dict[str, Any]:
        """Return the object of the audit event: first and last number, and the new head."""
        return {
            "kind": "vault",
            "id": str(self.vault_id),
            "from": self.added[0]["n"],
            "to": self.revision,
            "head": b64(self.head),
        }


def log_of(actor: Actor, vault_id: UUID, row: Any) -> Log:
    """Return the end of a vault's log, from the vault's locked row."""
    return Log(
        vault_id=vault_id,
        author_id=actor.id,
        generation=row.generation,
        revision=row.revision,
        head=bytes(row.head),
    )


def check_growth(connection: sa.Connection, log: Log, most: Rate) -> None:
    """Check that the log, including new entries, grows no faster than ``most`` allows.

    The entry ``most.count`` before the last one must be older than ``most.seconds``. The id of its
    audit event contains its time (UUIDv7). This is exact on any number of workers, needs no
    separate counter, and costs a statement only if the log is longer than the limit.

    :raises TooMany: the vault has reached its limit; the error contains the time of the next
        possible change.
    """
    before = log.revision - most.count
    if before < 1:
        return
    wait = most.seconds * 1000
    if before <= log.stored[0]:
        event_id = connection.scalars(
            sa.select(ENTRIES.c.audit_event_id).where(
                ENTRIES.c.vault_id == log.vault_id, ENTRIES.c.n == before
            )
        ).one()
        wait -= int(clock.now().timestamp() * 1000) - (event_id.int >> 80)
    if wait > 0:
        seconds = -(-wait // 1000)
        raise limits.too_many(Window(allowed=False, limit=most.count, remaining=0, reset=seconds))


@dataclass(frozen=True, slots=True)
class SentEntry:
    """The parts of an entry in a request that identify a repeated write."""

    op: Op
    item_id: UUID | None
    entry: EntryIn


def repeated_entries(
    connection: sa.Connection, vault_id: UUID, revision: int, sent: Sequence[SentEntry]
) -> list[Any] | None:
    """Return the stored entries if a client repeats a write after a lost response.

    :return: the rows, in order; None if this is not a repeated write.
    """
    first, last = sent[0].entry.n, sent[-1].entry.n
    if last > revision or last - first != len(sent) - 1:
        return None
    found = connection.execute(
        sa.select(ENTRIES)
        .where(ENTRIES.c.vault_id == vault_id, ENTRIES.c.n.between(first, last))
        .order_by(ENTRIES.c.n)
    ).all()
    same = len(found) == len(sent) and all(
        (row.n, row.mac, row.op, row.item_id)
        == (one.entry.n, one.entry.mac, one.op.value, one.item_id)
        for row, one in zip(found, sent, strict=True)
    )
    return list(found) if same else None
