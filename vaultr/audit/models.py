"""The tables of the audit log. None refers to accounts, because events outlive them."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from vaultr.database.base import Base


class AuditEvent(Base):
    """One event. ``body`` has the hashed bytes; `sub` to `t` are copied from it."""

    __tablename__ = "audit_event"
    __table_args__ = (
        sa.UniqueConstraint("epoch", "writer_id", "writer_seq"),
        sa.Index(None, "sub", "t", "event_id"),
        sa.Index(None, "sub", "typ", "t"),
        sa.CheckConstraint("writer_seq >= 0", name="writer_seq_counts"),
    )

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(comment="Month in which it was written, as 202611.")
    writer_id: Mapped[bytes]
    writer_seq: Mapped[int]
    prev_hash: Mapped[bytes]
    body: Mapped[bytes]
    mac: Mapped[bytes]
    event_hash: Mapped[bytes]
    detail: Mapped[bytes | None]
    detail_salt: Mapped[bytes | None]
    sub: Mapped[str]
    act: Mapped[str]
    typ: Mapped[str]
    out: Mapped[str]
    t: Mapped[datetime]


class AuditPending(Base):
    """An event that waits for the sequencer, which deletes this row."""

    __tablename__ = "audit_pending"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)


class AuditLeaf(Base):
    """The position of an event in a tree, and in the chain of its subject."""

    __tablename__ = "audit_leaf"
    __table_args__ = (sa.CheckConstraint("idx >= 0", name="idx_counts"),)

    epoch: Mapped[int] = mapped_column(primary_key=True, comment="Number of the tree.")
    idx: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    subject_tag: Mapped[bytes]
    subject_seq: Mapped[int]
    subject_prev: Mapped[bytes]
    leaf_hash: Mapped[bytes]


class AuditNode(Base):
    """The hash of a complete subtree; the leaves themselves are level 0 and in `AuditLeaf`."""

    __tablename__ = "audit_node"

    epoch: Mapped[int] = mapped_column(primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    idx: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[bytes]


class AuditCheckpoint(Base):
    """A signed checkpoint."""

    __tablename__ = "audit_checkpoint"

    epoch: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str]
    created_at: Mapped[datetime]
    anchored_to: Mapped[str | None] = mapped_column(
        comment="Anchors that have it, as JSON; null until it is published."
    )


class AuditKeyChange(Base):
    """A note in which the old signing key names the new one."""

    __tablename__ = "audit_key_change"

    epoch: Mapped[int] = mapped_column(primary_key=True, comment="Last tree of the old key.")
    note: Mapped[str]
    created_at: Mapped[datetime]
    anchored_to: Mapped[str | None]


class AuditSubject(Base):
    """The end of a subject's chain. Derived from the leaves."""

    __tablename__ = "audit_subject"

    subject_tag: Mapped[bytes] = mapped_column(primary_key=True)
    last_seq: Mapped[int]
    last_leaf_hash: Mapped[bytes]


class AuditPrune(Base):
    """A tree that was pruned, with its final checkpoint."""

    __tablename__ = "audit_prune"

    epoch: Mapped[int] = mapped_column(primary_key=True)
    first_idx: Mapped[int]
    last_idx: Mapped[int]
    last_event_at: Mapped[datetime]
    checkpoint: Mapped[str]
    policy: Mapped[str]
    operator: Mapped[str]
    event_id: Mapped[UUID]


class AuditHold(Base):
    """A legal hold. While one exists, nothing is pruned."""

    __tablename__ = "audit_hold"

    name: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    operator: Mapped[str]
    created_at: Mapped[datetime]
    event_id: Mapped[UUID]
