"""Write one entry to a vault as a whole: rename it, or commit to its contents again."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit.events import Event
from vaultr.audit.service import record
from vaultr.database.session import transaction
from vaultr.database.sql import Statement
from vaultr.protocol.entries import NOTHING, Op, overview_content
from vaultr.request_context import Actor
from vaultr.vault.change_rules import Quota, check_sealed
from vaultr.vault.locking import lock_vault
from vaultr.vault.log_entries import Log, SentEntry, check_growth, log_of, repeated_entries
from vaultr.vault.pending_changes import check_generation
from vaultr.vault.responses import VaultView
from vaultr.vault.schemas import EntryIn, VaultRename
from vaultr.vault.vaults import vault_in
from vaultr.vault.write_sql import EXTEND, RENAME


def rename_vault(actor: Actor, vault_id: UUID, body: VaultRename, quota: Quota) -> VaultView:
    """Replace a vault's own sealed overview; the entry is the precondition.

    If the entry is already stored, return the first response again and write nothing.

    :raises Unauthenticated, VaultNotFound: see `lock_vault`.
    :raises NotSealed, ItemTooLarge: the overview cannot be ciphertext, or is too large.
    :raises GenerationMoved, Unprocessable: it is not sealed under the current keys.
    :raises HeadMoved: another write came first.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        check_sealed(quota, overview=body.overview)
        stored = repeated_entry(connection, vault_id, row.revision, Op.RENAME, body.entry)
        if stored is not None:
            overview = {
                "overview": body.overview,
                "overview_revision": stored.n,
                "overview_generation": stored.generation,
            }
            return vault_after(connection, actor, stored, quota, **overview)
        log = log_of(actor, vault_id, row)
        check_generation(log, body.generation)
        log.check(body.entry)
        log.extend(body.entry, Op.RENAME, None, body.entry.n, overview_content(body.overview))
        values = {"overview": body.overview}
        store(connection, actor, log, Event.VAULT_RENAME, RENAME, quota, values=values)
        return vault_in(connection, actor, vault_id, quota)


def repair_vault(actor: Actor, vault_id: UUID, entry: EntryIn, quota: Quota) -> VaultView:
    """Append an entry that changes nothing and commits to the current contents.

    If the entry is already stored, return the first response again and write nothing.

    :raises Unauthenticated, VaultNotFound: see `lock_vault`.
    :raises HeadMoved: another write came first.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        stored = repeated_entry(connection, vault_id, row.revision, Op.REPAIR, entry)
        if stored is not None:
            return vault_after(connection, actor, stored, quota)
        log = log_of(actor, vault_id, row)
        log.check(entry)
        log.extend(entry, Op.REPAIR, None, 0, NOTHING)
        store(connection, actor, log, Event.VAULT_REPAIR, EXTEND, quota)
        return vault_in(connection, actor, vault_id, quota)


def repeated_entry(
    connection: sa.Connection, vault_id: UUID, revision: int, op: Op, entry: EntryIn
) -> Any:
    """Return the stored entry of a repeated write to the whole vault, or None."""
    found = repeated_entries(connection, vault_id, revision, [SentEntry(op, None, entry)])
    return found[0] if found else None


def store(
    connection: sa.Connection,
    actor: Actor,
    log: Log,
    event: Event,
    script: Statement,
    quota: Quota,
    *,
    values: Mapping[str, Any] | None = None,
    event_details: Mapping[str, Any] | None = None,
) -> UUID:
    """Record and store the one entry added to ``log``; return the event's id.

    :param values: further parameters of ``script``.
    :param event_details: further members of the event's object.
    :raises TooMany: see `check_growth`.
    """
    check_growth(connection, log, quota.changes)
    obj = {**log.event(), **(event_details or {})}
    event_id = record(event, account_id=actor.account_id, obj=obj)
    script.run(connection, {**log.added[0], "audit_event_id": event_id, **(values or {})})
    return event_id


def vault_after(
    connection: sa.Connection, actor: Actor, entry: Any, quota: Quota, **more: Any
) -> VaultView:
    """Return a vault in its state after ``entry``, as far as the log shows; counts are current."""
    view = vault_in(connection, actor, entry.vault_id, quota)
    known = {
        "keys": [wrap for wrap in view.keys if wrap.generation <= entry.generation],
        "generation": entry.generation,
        "revision": entry.n,
        "head": entry.head,
    }
    return view.model_copy(update=known | more)
