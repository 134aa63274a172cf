"""The table of the outbox: sealed waiting emails, and traces of sent ones."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from vaultr.database.base import Base


class Mail(Base):
    """One email. ``sealed`` contains recipient and content, and is wiped after sending."""

    __tablename__ = "mails"
    __table_args__ = (
        sa.CheckConstraint("state IN ('waiting', 'sent', 'dead')", name="state_known"),
        sa.CheckConstraint("tries >= 0", name="tries_counted"),
        sa.Index(None, "recipient", "created_at"),
        sa.Index(None, "state", "next_try_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    notice: Mapped[bool] = mapped_column(comment="A security notice, counted by itself.")
    recipient: Mapped[bytes] = mapped_column(comment="Keyed hash of the address.")
    sealed: Mapped[bytes | None]
    message_id: Mapped[str] = mapped_column(comment="The same at every try.")
    state: Mapped[str]
    tries: Mapped[int] = mapped_column(sa.Integer)
    created_at: Mapped[datetime]
    next_try_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    handed_over_at: Mapped[datetime | None] = mapped_column(
        comment="Set before the content is sent; cleared when the mail server has responded."
    )
    reason: Mapped[str | None] = mapped_column(comment="Reason why the last attempt failed.")
