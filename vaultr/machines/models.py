"""The table of machines."""

from datetime import datetime
from typing import cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from vaultr.database.base import Base


class Machine(Base):
    """A machine of an account. Its wraps of vault keys are in the table of the vaults' keys."""

    __tablename__ = "machines"
    __table_args__ = (
        sa.CheckConstraint("length(auth_hash) = 32", name="auth_hash_is_a_hash"),
        sa.CheckConstraint("revision >= 1", name="revision_positive"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True, comment="The owner."
    )
    name: Mapped[str]
    auth_hash: Mapped[bytes] = mapped_column(comment="SHA-256 of the key that proves it.")
    sealed_kek: Mapped[bytes] = mapped_column(comment="The key of its wraps, sealed for the owner.")
    networks: Mapped[str | None] = mapped_column(
        comment="CIDR blocks, separated by spaces; null: any address."
    )
    expires_at: Mapped[datetime]
    notice_at: Mapped[datetime | None] = mapped_column(
        index=True, comment="When its owner gets the email that it expires; null: no more."
    )
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None] = mapped_column(comment="Cut to the hour.")
    revision: Mapped[int] = mapped_column(comment="Grows with each change by the owner.")
    audit_event_id: Mapped[UUID]


MACHINES = cast(sa.Table, Machine.__table__)
