"""Writes to a vault as a whole, each one entry: it is renamed, or vouched for again."""

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
from vaultr.vault.log_entries import Log, Said, log_of, stored_already
from vaultr.vault.pending_changes import check_generation
from vaultr.vault.responses import VaultView
from vaultr.vault.schemas import EntryIn, VaultRename
from vaultr.vault.vaults import vault_in
from vaultr.vault.write_sql import EXTEND, RENAME


def rename_vault(actor: Actor, vault_id: UUID, given: VaultRename, quota: Quota) -> VaultView:
    """Replace a vault's own sealed overview; the entry is the precondition.

    A rename whose entry is stored already is answered as the first time, and nothing is done.

    :raises Unauthenticated, VaultNotFound: as `lock_vault`.
    :raises NotSealed, ItemTooLarge: the overview is none, or is too large.
    :raises GenerationMoved, Unprocessable: it is sealed under other keys than the present.
    :raises HeadMoved: somebody wrote to the vault in between.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        check_sealed(quota, overview=given.overview)
        entry = repeated(connection, vault_id, row.revision, Op.RENAME, given.entry)
        if entry is not None:
            overview = {
                "overview": given.overview,
                "overview_revision": entry.n,
                "overview_generation": entry.generation,
            }
            return vault_then(connection, actor, entry, quota, **overview)
        log = log_of(actor, vault_id, row)
        check_generation(log, given.generation)
        log.check(given.entry)
        log.extend(given.entry, Op.RENAME, None, given.entry.n, overview_content(given.overview))
        values = {"overview": given.overview}
        store(connection, log, Event.VAULT_RENAME, RENAME, values=values)
        return vault_in(connection, actor, vault_id, quota)


def repair_vault(actor: Actor, vault_id: UUID, given: EntryIn, quota: Quota) -> VaultView:
    """Append an entry that changes nothing and vouches for what is there.

    A repair whose entry is stored already is answered as the first time, and nothing is done.

    :raises Unauthenticated, VaultNotFound: as `lock_vault`.
    :raises HeadMoved: somebody wrote to the vault in between.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        entry = repeated(connection, vault_id, row.revision, Op.REPAIR, given)
        if entry is not None:
            return vault_then(connection, actor, entry, quota)
        log = log_of(actor, vault_id, row)
        log.check(given)
        log.extend(given, Op.REPAIR, None, 0, NOTHING)
        store(connection, log, Event.VAULT_REPAIR, EXTEND)
        return vault_in(connection, actor, vault_id, quota)


def repeated(
    connection: sa.Connection, vault_id: UUID, revision: int, op: Op, given: EntryIn
) -> Any:
    """Return the stored entry of a write to the whole vault that is sent again, or None."""
    found = stored_already(connection, vault_id, revision, [Said(op, None, given)])
    return found[0] if found else None


def store(
    connection: sa.Connection,
    log: Log,
    event: Event,
    script: Statement,
    *,
    values: Mapping[str, Any] | None = None,
    told: Mapping[str, Any] | None = None,
) -> UUID:
    """Record and store the one entry that ``log`` has more; give the event's id.

    :param values: what ``script`` asks for besides the entry; ``told`` goes into the event.
    """
    event_id = record(event, account_id=log.author_id, obj={**log.event(), **(told or {})})
    script.run(connection, {**log.added[0], "audit_event_id": event_id, **(values or {})})
    return event_id


def vault_then(
    connection: sa.Connection, actor: Actor, entry: Any, quota: Quota, **more: Any
) -> VaultView:
    """Show a vault as its entry left it, as far as the log tells; counts are those of now."""
    view = vault_in(connection, actor, entry.vault_id, quota)
    known = {
        "keys": [wrap for wrap in view.keys if wrap.generation <= entry.generation],
        "generation": entry.generation,
        "revision": entry.n,
        "head": entry.head,
    }
    return view.model_copy(update=known | more)
