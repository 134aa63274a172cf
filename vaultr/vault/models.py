"""The tables of vaults: vaults, key wraps, items, versions, removed items, log entries."""

from datetime import datetime
from typing import cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from vaultr.database.base import Base


def _of_vault() -> Mapped[UUID]:
    return mapped_column(sa.ForeignKey("vaults.id", ondelete="CASCADE"), primary_key=True)


class Vault(Base):
    """A vault. Its row is the lock for all writes, and stores the counts of its contents."""

    __tablename__ = "vaults"
    __table_args__ = (
        sa.CheckConstraint("revision >= 0", name="revision_from_zero"),
        sa.CheckConstraint("generation >= 1", name="generation_positive"),
        sa.CheckConstraint("length(head) = 32", name="head_is_a_hash"),
        sa.CheckConstraint(
            "active >= 0 AND trash >= 0 AND item_bytes >= 0", name="counts_from_zero"
        ),
        sa.CheckConstraint("version_bytes >= item_bytes", name="versions_hold_what_is_current"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True, comment="The owner."
    )
    generation: Mapped[int] = mapped_column(comment="Of its keys.")
    rotating: Mapped[bool] = mapped_column(comment="Items may still be on an older generation.")
    revision: Mapped[int] = mapped_column(comment="Number of the last entry; 0 before the first.")
    head: Mapped[bytes]
    overview: Mapped[bytes]
    overview_revision: Mapped[int]
    overview_generation: Mapped[int]
    active: Mapped[int]
    trash: Mapped[int]
    item_bytes: Mapped[int] = mapped_column(comment="Sealed bytes of all rows of `items`.")
    version_bytes: Mapped[int] = mapped_column(comment="Sealed bytes of all rows of `versions`.")
    created_at: Mapped[datetime]
    audit_event_id: Mapped[UUID]


class VaultKey(Base):
    """The keys of one generation of a vault, sealed for one holder."""

    __tablename__ = "vault_keys"
    __table_args__ = (
        sa.CheckConstraint("role IN ('owner', 'machine', 'member')", name="role_known"),
        sa.Index(None, "holder_id"),
    )

    vault_id: Mapped[UUID] = _of_vault()
    holder_id: Mapped[UUID] = mapped_column(primary_key=True, comment="An account or a machine.")
    generation: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str]
    rights: Mapped[str | None] = mapped_column(comment="Of a machine: read or write.")
    sealed_key: Mapped[bytes]
    audit_event_id: Mapped[UUID]


class Item(Base):
    """One sealed item. ``overview`` and ``detail`` are opaque: only a client can open them."""

    __tablename__ = "items"
    __table_args__ = (
        sa.UniqueConstraint("vault_id", "revision"),
        sa.CheckConstraint("revision >= content_revision", name="revision_not_before_content"),
        sa.CheckConstraint("state IN ('active', 'trash')", name="state_known"),
        sa.Index(None, "vault_id", "state", "id"),
    )

    vault_id: Mapped[UUID] = _of_vault()
    id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(comment="Grows with the vault: commit order.")
    content_revision: Mapped[int] = mapped_column(comment="Of the last put; the sealing binds it.")
    generation: Mapped[int]
    type: Mapped[str]
    state: Mapped[str]
    size: Mapped[int] = mapped_column(comment="Bytes of overview and detail.")
    puts: Mapped[int] = mapped_column(comment="How often it was put: whether versions must go.")
    content: Mapped[bytes] = mapped_column(comment="The hash that its entries carry.")
    overview: Mapped[bytes]
    detail: Mapped[bytes]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    audit_event_id: Mapped[UUID]


class Version(Base):
    """The content of one put, including the current one."""

    __tablename__ = "versions"
    __table_args__ = (sa.UniqueConstraint("vault_id", "revision"),)

    vault_id: Mapped[UUID] = _of_vault()
    item_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    generation: Mapped[int]
    type: Mapped[str]
    size: Mapped[int]
    overview: Mapped[bytes]
    detail: Mapped[bytes]
    created_at: Mapped[datetime]
    audit_event_id: Mapped[UUID]


class RemovedItem(Base):
    """The id of a removed item, stored as long as the vault, so that it is never reused."""

    __tablename__ = "removed_items"
    __table_args__ = (sa.UniqueConstraint("vault_id", "revision"),)

    vault_id: Mapped[UUID] = _of_vault()
    item_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int]


class LogEntry(Base):
    """One entry of a vault's log, stored as long as the vault."""

    __tablename__ = "entries"
    __table_args__ = (
        sa.CheckConstraint("n >= 1", name="n_positive"),
        sa.CheckConstraint("length(mac) = 32", name="mac_is_a_hash"),
        sa.CheckConstraint("length(head) = 32", name="head_is_a_hash"),
    )

    vault_id: Mapped[UUID] = _of_vault()
    n: Mapped[int] = mapped_column(primary_key=True)
    prev: Mapped[bytes]
    op: Mapped[str]
    item_id: Mapped[UUID | None]
    content_revision: Mapped[int]
    content: Mapped[bytes]
    generation: Mapped[int] = mapped_column(comment="The vault's after this entry.")
    author_id: Mapped[UUID]
    vouch: Mapped[bytes]
    mac: Mapped[bytes]
    head: Mapped[bytes]
    audit_event_id: Mapped[UUID]


# For statements without ORM objects.
VAULTS, VAULT_KEYS, ITEMS = (cast(sa.Table, model.__table__) for model in (Vault, VaultKey, Item))
VERSIONS, REMOVED, ENTRIES = (
    cast(sa.Table, model.__table__) for model in (Version, RemovedItem, LogEntry)
)
