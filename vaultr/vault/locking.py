"""Lock a vault for a write, and check in the same statement who may write to it."""

from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr.database.sql import Statement
from vaultr.errors import Unauthenticated
from vaultr.protocol.entries import NO_ITEM
from vaultr.request_context import Actor
from vaultr.vault import access
from vaultr.vault.access import Access, Right
from vaultr.vault.errors import VaultNotFound


def lock_vault(
    connection: sa.Connection,
    actor: Actor,
    vault_id: UUID,
    item_id: UUID = NO_ITEM,
    *,
    right: Right = "owner",
) -> Any:
    """Lock a vault for a write; read its current row and the row of one item.

    The same round trip checks that the session or token of ``actor`` is alive, so the views that
    call this are declared with ``checks_session``.

    :param right: the right that the actor needs.
    :return: a row of the vault, the item (``item_*``, None without an item) and, if the item was
        removed, ``removed_revision``.
    :raises Unauthenticated: the session or the token is dead.
    :raises VaultNotFound: the actor has no such vault.
    :raises Forbidden: the actor lacks ``right``.
    """
    row = _read_row(connection, lock_script(access.of(actor)), actor, vault_id, item_id)
    access.check_right(row.role, right)
    return row


def read_without_lock(connection: sa.Connection, actor: Actor, vault_id: UUID) -> Any:
    """Read what `lock_vault` reads, but without a lock, for a dry run of a write.

    :raises Unauthenticated, VaultNotFound, Forbidden: see `lock_vault`.
    """
    script = lock_script(access.of(actor), locks=False)
    row = _read_row(connection, script, actor, vault_id, NO_ITEM)
    access.check_right(row.role, "write")
    return row


def _read_row(
    connection: sa.Connection, script: Statement, actor: Actor, vault_id: UUID, item_id: UUID
) -> Any:
    values = access.parameters(actor, vault_id=vault_id, item_id=item_id)
    row = script.run(connection, values).one()
    if not row.alive:
        raise Unauthenticated
    if row.revision is None:
        raise VaultNotFound
    return row


@cache
def lock_script(actor: Access, *, locks: bool = True) -> Statement:
    """Return the statements of `lock_vault` or, without locks, of `read_without_lock`."""
    to_lock = (
        # Every writer locks the account, so that it cannot be deleted meanwhile.
        "SELECT 1 FROM accounts WHERE id = :account FOR KEY SHARE",
        f"SELECT 1 FROM vaults v WHERE v.id = :vault_id AND {actor.opens} FOR UPDATE",  # nosec B608 - constants only
    )
    # Read the item in a separate statement after the lock is held: a statement sees the database as
    # of its start, which would be before it waits for the lock.
    return Statement(
        f"SELECT {actor.alive} AS alive, {actor.role} AS role,"  # nosec B608 - constants only
        " v.generation, v.rotating, v.overview_generation, v.revision, v.head, v.active, v.trash,"
        " v.item_bytes, v.version_bytes,"
        " r.revision AS removed_revision, i.revision AS item_revision,"
        " i.content_revision AS item_content_revision, i.generation AS item_generation,"
        " i.type AS item_type, i.state AS item_state, i.size AS item_size, i.puts AS item_puts,"
        f" i.content AS item_content {actor.from_vault}"
        " LEFT JOIN items i ON i.vault_id = v.id AND i.id = :item_id"
        " LEFT JOIN removed_items r ON r.vault_id = v.id AND r.item_id = :item_id",
        locks=to_lock if locks else (),
    )
