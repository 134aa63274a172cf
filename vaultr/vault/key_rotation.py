"""A change of a vault's keys: begun, followed, and finished when nothing active is left behind.

Between its two entries items and overview move to the new keys by ordinary writes. What decides a
race is the vault's lock, as for every write: whatever was sealed under older keys and comes after
the beginning is refused by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
from vaultr.security import session_check
from vaultr.vault import fast_reads
from vaultr.vault.change_rules import Quota, check_sealed
from vaultr.vault.errors import GenerationMoved, QuotaExceeded, RotationIncomplete
from vaultr.vault.locking import OWNER, lock_vault
from vaultr.vault.log_entries import log_of
from vaultr.vault.models import VAULT_KEYS
from vaultr.vault.responses import LeftView, RotationView, VaultView
from vaultr.vault.schemas import EntryIn, MachineWrap, RotationNew
from vaultr.vault.vault_writes import repeated, store, vault_then
from vaultr.vault.vaults import vault_in
from vaultr.vault.write_sql import BEGIN_ROTATION, FINISH_ROTATION

MACHINE = "machine"

_LEFT = (
    "SELECT count(*) FROM items i WHERE i.vault_id = v.id AND i.state = 'active'"
    " AND i.generation < v.generation"
)


@dataclass(frozen=True, slots=True)
class _Wraps:
    """The new keys as they are sealed for each holder."""

    owner: bytes
    machines: Sequence[MachineWrap]


def begin_rotation(actor: Actor, vault_id: UUID, given: RotationNew, quota: Quota) -> VaultView:
    """Return a vault new keys, under which everything is sealed from now on.

    Allowed while another rotation is running: everything then moves to the newest generation. One
    whose entry is stored already is answered as the first time, and nothing is done.

    :raises Unauthenticated, VaultNotFound: as `lock_vault`.
    :raises NotSealed, ItemTooLarge: a wrap is none, or is too large.
    :raises Unprocessable: a machine comes twice, or the generation is not the next one.
    :raises GenerationMoved: another rotation has taken this generation in between.
    :raises Conflict: the machines are not exactly those that hold keys of the vault.
    :raises HeadMoved: somebody wrote to the vault in between.
    :raises QuotaExceeded: the vault has had as many generations as it may.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        _check_alone(given, quota)
        entry = repeated(connection, vault_id, row.revision, Op.ROTATE_BEGIN, given.entry)
        if entry is not None:
            return vault_then(connection, actor, entry, quota, rotating=True)
        log = log_of(actor, vault_id, row)
        _check_number(given, row)
        _check_machines(connection, vault_id, given.machines)
        log.check(given.entry)
        _check_room(given)
        log.generation = given.generation
        log.extend(given.entry, Op.ROTATE_BEGIN, None, 0, NOTHING)
        told = {"generation": given.generation}
        event_id = store(connection, log, Event.VAULT_ROTATE_BEGIN, BEGIN_ROTATION, told=told)
        wraps = _Wraps(given.sealed_key, given.machines)
        _keep(connection, actor, vault_id, given.generation, wraps, event_id)
        return vault_in(connection, actor, vault_id, quota)


def _check_alone(given: RotationNew, quota: Quota) -> None:
    """Check what the body alone shows."""
    sealed = {f"machines/{at}/sealed_key": one.sealed_key for at, one in enumerate(given.machines)}
    check_sealed(quota, sealed_key=given.sealed_key, **sealed)
    known: set[UUID] = set()
    for at, one in enumerate(given.machines):
        if one.id in known:
            raise Unprocessable(errors=[FieldError(f"/machines/{at}/id", "named before")])
        known.add(one.id)


def _check_number(given: RotationNew, row: Any) -> None:
    """Check that the new generation is the next one: a number is used once."""
    if given.generation == row.generation + 1:
        return
    told = {"generation": row.generation}
    knows_all = (given.entry.n, given.entry.prev) == (row.revision + 1, bytes(row.head))
    if given.generation <= row.generation and not knows_all:
        raise GenerationMoved("Another rotation has begun in between.", members=told)
    fault = FieldError("/generation", "not the number after the vault's")
    raise Unprocessable(errors=[fault], members=told)


def _check_machines(
    connection: sa.Connection, vault_id: UUID, named: Sequence[MachineWrap]
) -> None:
    held = sa.select(VAULT_KEYS.c.holder_id).where(
        VAULT_KEYS.c.vault_id == vault_id, VAULT_KEYS.c.role == MACHINE
    )
    if {*connection.scalars(held)} != {one.id for one in named}:
        fault = FieldError("/machines", "not exactly those that hold a key of the vault")
        raise Conflict("Other machines than these hold keys of the vault.", errors=[fault])


def _check_room(given: RotationNew) -> None:
    if given.generation > sizes.GENERATIONS_PER_VAULT:
        raise QuotaExceeded(
            f"A vault has {sizes.GENERATIONS_PER_VAULT} generations of keys, and no more: move its"
            " items to a new one."
        )


def _keep(
    connection: sa.Connection,
    actor: Actor,
    vault_id: UUID,
    generation: int,
    wraps: _Wraps,
    event_id: UUID,
) -> None:
    holders = [(actor.account_id, OWNER, wraps.owner)]
    holders += [(one.id, MACHINE, one.sealed_key) for one in wraps.machines]
    rows = [
        {
            "vault_id": vault_id,
            "holder_id": holder_id,
            "generation": generation,
            "role": role,
            "sealed_key": sealed_key,
            "audit_event_id": event_id,
        }
        for holder_id, role, sealed_key in holders
    ]
    connection.execute(sa.insert(VAULT_KEYS), rows)


def show_rotation(actor: Actor, vault_id: UUID) -> RotationView:
    """Check whether a rotation is running, and what is left to move.

    :raises Unauthenticated, VaultNotFound: as `hot.glance`.
    """
    values = fast_reads.parameters(actor, vault_id=vault_id)
    row = _progress(session_check.sql()).alone(values).one()
    fast_reads.check(row)
    left = LeftView(items=row.items, overview=row.overview_generation < row.generation)
    return RotationView(rotating=bool(row.rotating), generation=row.generation, left=left)


def finish_rotation(actor: Actor, vault_id: UUID, given: EntryIn, quota: Quota) -> VaultView:
    """End a rotation after everything active has moved to the newest keys.

    One whose entry is stored already is answered as the first time, and nothing is done.

    :raises Unauthenticated, VaultNotFound: as `lock_vault`.
    :raises Conflict: no rotation is running.
    :raises RotationIncomplete: active items or the overview are left; it says how many.
    :raises HeadMoved: somebody wrote to the vault in between.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        entry = repeated(connection, vault_id, row.revision, Op.ROTATE_END, given)
        if entry is not None:
            return vault_then(connection, actor, entry, quota, rotating=False)
        if not row.rotating:
            raise Conflict("No rotation of this vault is running.")
        _check_nothing_left(connection, vault_id, row)
        log = log_of(actor, vault_id, row)
        log.check(given)
        log.extend(given, Op.ROTATE_END, None, 0, NOTHING)
        told = {"generation": row.generation}
        store(connection, log, Event.VAULT_ROTATE_END, FINISH_ROTATION, told=told)
        return vault_in(connection, actor, vault_id, quota)


def _check_nothing_left(connection: sa.Connection, vault_id: UUID, row: Any) -> None:
    items = _left().run(connection, {"vault_id": vault_id}).scalar_one()
    overview = row.overview_generation < row.generation
    if items or overview:
        left = {"items": items, "overview": overview}
        raise RotationIncomplete(members={"generation": row.generation, "left": left})


@per_database
def _left() -> Statement:
    return Statement(f"SELECT ({_LEFT}) FROM vaults v WHERE v.id = :vault_id")  # nosec B608 - our words alone


@per_database
def _progress(alive_sql: str) -> Statement:
    items = f"CASE WHEN v.rotating THEN ({_LEFT}) ELSE 0 END AS items"
    columns = f"v.rotating, v.generation, v.overview_generation, {items}"
    return Statement(fast_reads.statement(alive_sql, columns))
