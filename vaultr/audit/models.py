"""The tables of the audit log. Nothing refers to accounts: events outlive them."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from vaultr.database.base import Base


class AuditEvent(Base):
    """One event. ``body`` is what is hashed, as written; the columns after it are copies of it."""

    __tablename__ = "audit_event"
    __table_args__ = (
        sa.UniqueConstraint("epoch", "writer_id", "writer_seq"),
        sa.Index(None, "sub", "t", "event_id"),
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
    """An event that no tree holds yet; written with the event, taken away by the sequencer."""

    __tablename__ = "audit_pending"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
