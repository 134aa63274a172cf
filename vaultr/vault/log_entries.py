"""The log of a vault: each write extends it by one entry, or is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr.errors import FieldError
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import Entry, Op, head_of
from vaultr.request_context import Actor
from vaultr.vault.errors import HeadMoved
from vaultr.vault.models import ENTRIES
from vaultr.vault.schemas import EntryIn


@dataclass(slots=True)
class Log:
    """The end of a vault's log, under the vault's lock, and the entries added to it since.

    ``revision`` and ``head`` move with each entry; ``stored`` is where the log ends for others.
    """

    vault_id: UUID
    author_id: UUID
    generation: int
    revision: int
    head: bytes
    added: list[dict[str, Any]] = field(default_factory=list)

    def check(self, given: EntryIn, faults: Sequence[FieldError] = ()) -> None:
        """Check that an entry is the next one.

        :raises HeadMoved: it is not; with where the log ends.
        """
        if given.n == self.revision + 1 and given.prev == self.head:
            return
        revision, head = self.stored
        raise HeadMoved(errors=faults, members={"revision": revision, "head": b64(head)})

    @property
    def stored(self) -> tuple[int, bytes]:
        """Give revision and head as they are stored."""
        if self.added:
            return self.added[0]["n"] - 1, self.added[0]["prev"]
        return self.revision, self.head

    def extend(
        self, given: EntryIn, op: Op, item_id: UUID | None, content_revision: int, content: bytes
    ) -> None:
        """Add an entry that was checked; all but its keyed parts comes from the request."""
        entry = Entry(
            vault_id=self.vault_id,
            n=given.n,
            prev=given.prev,
            op=op,
            item_id=item_id,
            content_revision=content_revision,
            content=content,
            generation=self.generation,
            author_id=self.author_id,
            vouch=given.vouch,
        )
        self.revision, self.head = given.n, head_of(entry, given.mac)
        self.added.append(
            {
                "vault_id": self.vault_id,
                "n": given.n,
                "prev": given.prev,
                "op": op.value,
                "item_id": item_id,
                "content_revision": content_revision,
                "content": content,
                "generation": self.generation,
                "author_id": self.author_id,
                "vouch": given.vouch,
                "mac": given.mac,
                "head": self.head,
            }
        )

    def event(self) -> dict[str, Any]:
        """Tell the audit what was written: the first and last number, and the new head."""
        return {
            "kind": "vault",
            "id": str(self.vault_id),
            "from": self.added[0]["n"],
            "to": self.revision,
            "head": b64(self.head),
        }


def log_of(actor: Actor, vault_id: UUID, row: Any) -> Log:
    """Return the end of the log of the vault whose locked row this is."""
    return Log(
        vault_id=vault_id,
        author_id=actor.account_id,
        generation=row.generation,
        revision=row.revision,
        head=bytes(row.head),
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What a request says of one entry: enough to know it again."""

    op: Op
    item_id: UUID | None
    entry: EntryIn


def stored_already(
    connection: sa.Connection, vault_id: UUID, revision: int, said: Sequence[Said]
) -> list[Any] | None:
    """Return the stored entries of a write that is sent again after its answer was lost.

    :return: the rows, in order; None when this is no repetition.
    """
    first, last = said[0].entry.n, said[-1].entry.n
    if last > revision or last - first != len(said) - 1:
        return None
    found = connection.execute(
        sa.select(ENTRIES)
        .where(ENTRIES.c.vault_id == vault_id, ENTRIES.c.n.between(first, last))
        .order_by(ENTRIES.c.n)
    ).all()
    same = len(found) == len(said) and all(
        (row.n, row.mac, row.op, row.item_id)
        == (one.entry.n, one.entry.mac, one.op.value, one.item_id)
        for row, one in zip(found, said, strict=True)
    )
    return list(found) if same else None
