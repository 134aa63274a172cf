"""Lock a vault for a write, and check in the same statement who may write to it."""

from functools import cache
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from vaultr.database.sql import Statement
from vaultr.errors import Unauthenticated
from vaultr.protocol.entries import NO_ITEM
from vaultr.request_context import Actor
from vaultr.security import session_check
from vaultr.vault.errors import VaultNotFound

OWNER: Final = "owner"

# The actor's vault, joined to one constant row, so that a row is returned even without a vault.
OWN_VAULT: Final = (
    "FROM (SELECT 1 AS one) o LEFT JOIN vaults v ON v.id = :vault_id AND v.account_id = :account"
)

_LOCKS: Final = (
    # Every writer locks the account, so that it cannot be deleted meanwhile.
    "SELECT 1 FROM accounts WHERE id = :account FOR KEY SHARE",
    "SELECT 1 FROM vaults WHERE id = :vault_id AND account_id = :account FOR UPDATE",
)


def lock_vault(
    connection: sa.Connection, actor: Actor, vault_id: UUID, item_id: UUID = NO_ITEM
) -> Any:
    """Lock a vault for a write, and read its current row with that of one item.

    The same round trip checks that the session of ``actor`` is alive, so the views that call this
    are declared with ``checks_session``.

    :return: a row of the vault, the item (``item_*``, None without an item) and, if the item was
        removed, ``removed_revision``.
    :raises Unauthenticated: the session has ended.
    :raises VaultNotFound: the actor has no such vault.
    """
    return _found(connection, lock_script(session_check.sql()), actor, vault_id, item_id)


def read_without_lock(connection: sa.Connection, actor: Actor, vault_id: UUID) -> Any:
    """Read what `lock_vault` reads, for a dry run: no writer has to wait.

    :raises Unauthenticated, VaultNotFound: see `lock_vault`.
    """
    script = lock_script(session_check.sql(), locks=False)
    return _found(connection, script, actor, vault_id, NO_ITEM)


def _found(
    connection: sa.Connection, script: Statement, actor: Actor, vault_id: UUID, item_id: UUID
) -> Any:
    parameters = session_check.parameters(actor) | {
        "vault_id": vault_id,
        "item_id": item_id,
    }
    row = script.run(connection, parameters).one()
    if not row.alive:
        raise Unauthenticated
    if row.revision is None:
        raise VaultNotFound
    return row


@cache
def lock_script(alive_sql: str, *, locks: bool = True) -> Statement:
    """Return the statements of `lock_vault` or, without locks, of `read_without_lock`."""
    # A separate statement reads the item after the lock is held: a statement sees the database as
    # it was at its start, and would start before it waits for the lock.
    return Statement(
        f"SELECT {alive_sql} AS alive,"  # nosec B608 - contains constants only
        " v.generation, v.rotating, v.overview_generation, v.revision, v.head, v.active, v.trash,"
        " v.item_bytes, v.version_bytes,"
        " r.revision AS removed_revision, i.revision AS item_revision,"
        " i.content_revision AS item_content_revision, i.generation AS item_generation,"
        " i.type AS item_type, i.state AS item_state, i.size AS item_size, i.puts AS item_puts,"
        f" i.content AS item_content {OWN_VAULT}"
        " LEFT JOIN items i ON i.vault_id = v.id AND i.id = :item_id"
        " LEFT JOIN removed_items r ON r.vault_id = v.id AND r.item_id = :item_id",
        locks=_LOCKS if locks else (),
    )
