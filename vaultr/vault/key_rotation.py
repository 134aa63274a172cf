"""Key rotation: store new keys of a vault, show the progress, and finish.

Between the two entries that begin and end a rotation, clients reseal items and the overview by
ordinary writes. The vault is locked for each write: after the rotation has begun, a write that is
sealed under older keys is rejected with `GenerationMoved`.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit.events import Event
from vaultr.database.session import transaction
from vaultr.database.sql import Statement, per_database
from vaultr.errors import Conflict, FieldError, Unprocessable
from vaultr.protocol import sizes
from vaultr.protocol.entries import NOTHING, Op
from vaultr.request_context import Actor
from vaultr.vault import access, fast_reads
from vaultr.vault.access import MACHINE, OWNER, Access
from vaultr.vault.change_rules import Quota, check_wraps
from vaultr.vault.errors import GenerationMoved, QuotaExceeded, RotationIncomplete
from vaultr.vault.locking import lock_vault
from vaultr.vault.log_entries import log_of
from vaultr.vault.models import VAULT_KEYS
from vaultr.vault.responses import LeftView, RotationView, VaultView
from vaultr.vault.schemas import EntryIn, MachineWrap, RotationNew
from vaultr.vault.vault_writes import repeated_entry, store, vault_after
from vaultr.vault.vaults import vault_in
from vaultr.vault.write_sql import BEGIN_ROTATION, FINISH_ROTATION

_LEFT = (
    "SELECT count(*) FROM items i WHERE i.vault_id = v.id AND i.state = 'active'"
    " AND i.generation < v.generation"
)


def begin_rotation(actor: Actor, vault_id: UUID, body: RotationNew, quota: Quota) -> VaultView:
    """Store new keys of a vault; later writes must be sealed under them.

    A rotation may begin while another one runs; all contents then move to the newest generation. If
    the entry is already stored, return the first response again and write nothing.

    :raises Unauthenticated, VaultNotFound: see `lock_vault`.
    :raises NotSealed, ItemTooLarge: a wrap cannot be ciphertext, or is too large.
    :raises Unprocessable: a machine is listed twice, or the generation is not the next one.
    :raises GenerationMoved: another rotation took this generation first.
    :raises Conflict: the listed machines differ from those that hold keys of the vault.
    :raises HeadMoved: another write came first.
    :raises QuotaExceeded: the vault has reached the maximum number of generations.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        _check_body(body)
        stored = repeated_entry(connection, vault_id, row.revision, Op.ROTATE_BEGIN, body.entry)
        if stored is not None:
            return vault_after(connection, actor, stored, quota, rotating=True)
        log = log_of(actor, vault_id, row)
        _check_number(body, row)
        rights = _rights_of_machines(connection, vault_id, row.generation, body.machines)
        log.check(body.entry)
        _check_quota(body)
        log.generation = body.generation
        log.extend(body.entry, Op.ROTATE_BEGIN, None, 0, NOTHING)
        details = {"generation": body.generation}
        event = Event.VAULT_ROTATE_BEGIN
        event_id = store(
            connection, actor, log, event, BEGIN_ROTATION, quota, event_details=details
        )
        _store_wraps(connection, actor, vault_id, body, rights, event_id)
        return vault_in(connection, actor, vault_id, quota)


def _check_body(body: RotationNew) -> None:
    """Check the body, without the database."""
    sealed = {f"machines/{at}/sealed_key": one.sealed_key for at, one in enumerate(body.machines)}
    check_wraps(sealed_key=body.sealed_key, **sealed)
    known: set[UUID] = set()
    for at, one in enumerate(body.machines):
        if one.id in known:
            raise Unprocessable(errors=[FieldError(f"/machines/{at}/id", "listed twice")])
        known.add(one.id)


def _check_number(body: RotationNew, row: Any) -> None:
    """Check that the new generation is the next one; generations are never reused."""
    if body.generation == row.generation + 1:
        return
    members = {"generation": row.generation}
    knows_all = (body.entry.n, body.entry.prev) == (row.revision + 1, bytes(row.head))
    if body.generation <= row.generation and not knows_all:
        raise GenerationMoved("Another rotation began first. Sync, then retry.", members=members)
    fault = FieldError("/generation", "must be the vault's generation plus 1")
    raise Unprocessable(errors=[fault], members=members)


def _rights_of_machines(
    connection: sa.Connection, vault_id: UUID, generation: int, named: Sequence[MachineWrap]
) -> dict[UUID, str]:
    """Return the rights of machines with a vault's keys; the body must list all of them."""
    held = sa.select(VAULT_KEYS.c.holder_id, VAULT_KEYS.c.rights).where(
        VAULT_KEYS.c.vault_id == vault_id,
        VAULT_KEYS.c.generation == generation,
        VAULT_KEYS.c.role == MACHINE,
    )
    rights = {row.holder_id: row.rights for row in connection.execute(held)}
    if rights.keys() != {machine.id for machine in named}:
        fault = FieldError("/machines", "must list exactly the machines that hold a key")
        raise Conflict(
            "The listed machines differ from those that hold keys of the vault. List them again.",
            errors=[fault],
        )
    return rights


def _check_quota(body: RotationNew) -> None:
    if body.generation > sizes.GENERATIONS_PER_VAULT:
        raise QuotaExceeded(
            f"A vault can have at most {sizes.GENERATIONS_PER_VAULT} generations of keys."
            " Move its items to a new vault."
        )


def _store_wraps(
    connection: sa.Connection,
    actor: Actor,
    vault_id: UUID,
    body: RotationNew,
    rights: Mapping[UUID, str],
    event_id: UUID,
) -> None:
    holders = [(actor.account_id, OWNER, body.sealed_key)]
    holders += [(machine.id, MACHINE, machine.sealed_key) for machine in body.machines]
    rows = [
        {
            "vault_id": vault_id,
            "holder_id": holder_id,
            "generation": body.generation,
            "role": role,
            "rights": rights.get(holder_id),
            "sealed_key": sealed_key,
            "audit_event_id": event_id,
        }
        for holder_id, role, sealed_key in holders
    ]
    connection.execute(sa.insert(VAULT_KEYS), rows)


def show_rotation(actor: Actor, vault_id: UUID) -> RotationView:
    """Return whether a rotation is running, and what clients must still reseal.

    :raises Unauthenticated, VaultNotFound: see `fast_reads.read_head`.
    """
    values = access.parameters(actor, vault_id=vault_id)
    row = _progress(access.of(actor)).alone(values).one()
    access.check(row)
    left = LeftView(items=row.items, overview=row.overview_generation < row.generation)
    return RotationView(rotating=bool(row.rotating), generation=row.generation, left=left)


def finish_rotation(actor: Actor, vault_id: UUID, entry: EntryIn, quota: Quota) -> VaultView:
    """Finish a rotation, once all active items and the overview have moved to the newest keys.

    If the entry is already stored, return the first response again and write nothing.

    :raises Unauthenticated, VaultNotFound: see `lock_vault`.
    :raises Conflict: no rotation is running.
    :raises RotationIncomplete: active items or the overview are still under older keys; the error
        contains the number of items.
    :raises HeadMoved: another write came first.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        stored = repeated_entry(connection, vault_id, row.revision, Op.ROTATE_END, entry)
        if stored is not None:
            return vault_after(connection, actor, stored, quota, rotating=False)
        if not row.rotating:
            raise Conflict("No rotation of this vault is running. Begin one first.")
        _check_nothing_left(connection, vault_id, row)
        log = log_of(actor, vault_id, row)
        log.check(entry)
        log.extend(entry, Op.ROTATE_END, None, 0, NOTHING)
        details = {"generation": row.generation}
        event = Event.VAULT_ROTATE_END
        store(connection, actor, log, event, FINISH_ROTATION, quota, event_details=details)
        return vault_in(connection, actor, vault_id, quota)


def _check_nothing_left(connection: sa.Connection, vault_id: UUID, row: Any) -> None:
    items = _left().run(connection, {"vault_id": vault_id}).scalar_one()
    overview = row.overview_generation < row.generation
    if items or overview:
        left = {"items": items, "overview": overview}
        raise RotationIncomplete(members={"generation": row.generation, "left": left})


@per_database
def _left() -> Statement:
    return Statement(f"SELECT ({_LEFT}) FROM vaults v WHERE v.id = :vault_id")  # nosec B608 - constants only


@per_database
def _progress(actor: Access) -> Statement:
    items = f"CASE WHEN v.rotating THEN ({_LEFT}) ELSE 0 END AS items"
    columns = f"v.rotating, v.generation, v.overview_generation, {items}"
    return Statement(fast_reads.statement(actor, columns))
