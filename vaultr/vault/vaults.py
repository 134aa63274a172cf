"""Create, list and show vaults."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.audit.events import Event
from vaultr.audit.service import record
from vaultr.database.session import reading, transaction
from vaultr.database.sql import Statement, per_database
from vaultr.errors import Unauthenticated
from vaultr.protocol.entries import first_head
from vaultr.request_context import Actor
from vaultr.settings.model import current_settings
from vaultr.vault import access
from vaultr.vault.access import OWNER
from vaultr.vault.change_rules import Quota, check_sealed, check_wraps
from vaultr.vault.errors import QuotaExceeded, VaultExists
from vaultr.vault.fast_reads import read_vault, read_vault_autocommit
from vaultr.vault.models import VAULT_KEYS, VAULTS
from vaultr.vault.responses import CountsView, QuotaView, VaultView, WrapView
from vaultr.vault.schemas import VaultNew
from vaultr.wire.page_size import rows_that_fit

FIRST_GENERATION = 1


def create_vault(actor: Actor, body: VaultNew, quota: Quota) -> VaultView:
    """Create an empty vault of generation 1.

    :raises NotSealed, ItemTooLarge: its wrap or overview cannot be ciphertext, or is too large.
    :raises VaultExists: any account has a vault with this id.
    :raises QuotaExceeded: the account has reached its maximum number of vaults.
    """
    check_sealed(quota, sealed_key=body.sealed_key, overview=body.overview)
    check_wraps(sealed_key=body.sealed_key)
    with transaction() as session:
        _lock_account(session.connection(), actor)
        if session.scalar(sa.select(VAULTS.c.id).where(VAULTS.c.id == body.id)) is not None:
            raise VaultExists
        owned = sa.select(sa.func.count()).where(VAULTS.c.account_id == actor.account_id)
        if session.scalars(owned).one() >= quota.vaults:
            raise QuotaExceeded(
                f"An account can have at most {quota.vaults} vaults. Delete one first."
            )
        event_id = record(
            Event.VAULT_CREATE,
            account_id=actor.account_id,
            obj={"kind": "vault", "id": str(body.id)},
        )
        try:
            _insert(session, actor.account_id, body, event_id)
        except sa.exc.IntegrityError as error:  # another account took the id at the same moment
            raise VaultExists from error
        return vault_in(session.connection(), actor, body.id, quota)


def _lock_account(connection: sa.Connection, actor: Actor) -> None:
    """Lock the account against other new vaults, but not against writes to existing ones.

    Then check the session again: if the account key was replaced in the meantime, the wrap of the
    new vault would be sealed under the old key.
    """
    values = access.parameters(actor)
    alive = _account(access.of(actor).alive).run(connection, values).scalar_one()
    if not alive:
        raise Unauthenticated


@per_database
def _account(alive_sql: str) -> Statement:
    lock = "SELECT 1 FROM accounts WHERE id = :account FOR NO KEY UPDATE"
    return Statement(f"SELECT {alive_sql}", locks=(lock,))  # nosec B608 - constants only


def _insert(session: Session, account_id: UUID, body: VaultNew, event_id: UUID) -> None:
    vault = {
        "id": body.id,
        "account_id": account_id,
        "generation": FIRST_GENERATION,
        "rotating": False,
        "revision": 0,
        "head": first_head(body.id),
        "overview": body.overview,
        "overview_revision": 0,
        "overview_generation": FIRST_GENERATION,
        **dict.fromkeys(("active", "trash", "item_bytes", "version_bytes"), 0),
        "created_at": clock.now(),
        "audit_event_id": event_id,
    }
    wrap = {
        "vault_id": body.id,
        "holder_id": account_id,
        "generation": FIRST_GENERATION,
        "role": OWNER,
        "sealed_key": body.sealed_key,
        "audit_event_id": event_id,
    }
    session.execute(sa.insert(VAULTS), vault)
    session.execute(sa.insert(VAULT_KEYS), wrap)


def show_vault(actor: Actor, vault_id: UUID, quota: Quota) -> VaultView:
    """Return one vault.

    :raises Unauthenticated: the session has ended.
    :raises VaultNotFound: the actor has no such vault.
    """
    seen = read_vault_autocommit(actor, vault_id)
    return vault_view(seen.vault, seen.wraps, quota)


def vault_in(connection: sa.Connection, actor: Actor, vault_id: UUID, quota: Quota) -> VaultView:
    """Return a vault as the current transaction sees it."""
    seen = read_vault(connection, actor, vault_id)
    return vault_view(seen.vault, seen.wraps, quota)


def list_vaults(
    actor: Actor, quota: Quota, *, after: UUID | None, limit: int
) -> tuple[list[VaultView], UUID | None]:
    """Return one page of vaults, ordered by id, and the id after which the next page starts.

    The page ends at ``limit`` or `PAGE_BYTES`; wraps are loaded only for its vaults.
    """
    chosen = access.vaults_of(actor).order_by(VAULTS.c.id).limit(limit + 1)
    if after is not None:
        chosen = chosen.where(VAULTS.c.id > after)
    with reading(snapshot=True) as session:
        rows = session.execute(chosen).all()
        wraps = _wrap_bytes(session, actor, [row.id for row in rows])
        sizes = (len(row.overview) + wraps.get(row.id, 0) for row in rows[:limit])
        shown = rows[: rows_that_fit(sizes, current_settings().page_bytes)]
        views = _views(session, actor, shown, quota)
    return views, views[-1].id if len(rows) > len(shown) else None


def _wrap_bytes(session: Session, actor: Actor, vault_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the number of sealed bytes of the actor's wraps, by vault."""
    of_them = sa.and_(VAULT_KEYS.c.holder_id == actor.id, VAULT_KEYS.c.vault_id.in_(vault_ids))
    total = sa.func.sum(sa.func.length(VAULT_KEYS.c.sealed_key))
    query = sa.select(VAULT_KEYS.c.vault_id, total).where(of_them).group_by(VAULT_KEYS.c.vault_id)
    return {vault_id: int(size) for vault_id, size in session.execute(query)}


def _views(session: Session, actor: Actor, rows: Sequence[Any], quota: Quota) -> list[VaultView]:
    wraps: dict[UUID, list[WrapView]] = {row.id: [] for row in rows}
    of_them = sa.and_(VAULT_KEYS.c.holder_id == actor.id, VAULT_KEYS.c.vault_id.in_(wraps))
    in_order = sa.select(VAULT_KEYS).where(of_them).order_by(VAULT_KEYS.c.generation)
    for key in session.execute(in_order):
        wrap = WrapView(generation=key.generation, sealed_key=key.sealed_key)
        wraps[key.vault_id].append(wrap)
    return [vault_view(row, wraps[row.id], quota) for row in rows]


def vault_view(row: Any, wraps: list[WrapView], quota: Quota) -> VaultView:
    """Convert a vault's row and the actor's wraps to a response."""
    return VaultView(
        id=row.id,
        role=row.role,
        keys=wraps,
        overview=bytes(row.overview),
        overview_revision=row.overview_revision,
        overview_generation=row.overview_generation,
        generation=row.generation,
        rotating=bool(row.rotating),
        revision=row.revision,
        head=bytes(row.head),
        counts=CountsView(active=row.active, trash=row.trash),
        bytes=row.item_bytes,
        quota=QuotaView(items=quota.items, bytes=quota.vault_bytes),
        created_at=row.created_at,
    )
