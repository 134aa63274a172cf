"""List and show machines to their owner, and show a machine to itself."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.database.session import reading
from vaultr.errors import Unauthenticated
from vaultr.machines.errors import MachineNotFound
from vaultr.machines.models import MACHINES
from vaultr.machines.responses import (
    MachineKeyView,
    MachineSelfView,
    MachineVaultView,
    MachineView,
)
from vaultr.request_context import Actor
from vaultr.settings.model import current_settings
from vaultr.vault import service as vault
from vaultr.vault.service import Grant
from vaultr.wire.page_size import rows_that_fit


def list_machines(
    actor: Actor, *, after: UUID | None, limit: int
) -> tuple[list[MachineView], UUID | None]:
    """Return one page of an account's machines, and the id after which the next page starts.

    A page ends at PAGE_BYTES of wraps, but has at least one machine.
    """
    chosen = sa.select(MACHINES).where(MACHINES.c.account_id == actor.account_id)
    if after is not None:
        chosen = chosen.where(MACHINES.c.id > after)
    with reading(snapshot=True) as work:
        rows = work.execute(chosen.order_by(MACHINES.c.id).limit(limit + 1)).all()
        sizes = vault.grant_bytes(work, [row.id for row in rows])
        in_order = (sizes.get(row.id, 0) for row in rows[:limit])
        page = rows[: rows_that_fit(in_order, current_settings().page_bytes)]
        grants = vault.grants_of(work, [row.id for row in page])
    views = [_view(row, grants[row.id]) for row in page]
    return views, page[-1].id if len(page) < len(rows) else None


def archive_machines(work: Session, account_id: UUID) -> Iterator[str]:
    """Yield the machines of an account as JSON, one at a time, for its archive."""
    mine = sa.select(MACHINES).where(MACHINES.c.account_id == account_id).order_by(MACHINES.c.id)
    for row in work.execute(mine).all():
        yield _view(row, vault.grants_of(work, [row.id])[row.id]).model_dump_json()


def show_machine(actor: Actor, machine_id: UUID) -> MachineView:
    """Return one machine of an account.

    :raises MachineNotFound: the account has no such machine.
    """
    with reading(snapshot=True) as work:
        return view_in(work, actor.account_id, machine_id)


def view_in(work: Session, account_id: UUID, machine_id: UUID) -> MachineView:
    """Return a machine as the current transaction sees it.

    :raises MachineNotFound: the account has no such machine.
    """
    mine = sa.and_(MACHINES.c.id == machine_id, MACHINES.c.account_id == account_id)
    row = work.execute(sa.select(MACHINES).where(mine)).one_or_none()
    if row is None:
        raise MachineNotFound
    return _view(row, vault.grants_of(work, [machine_id])[machine_id])


def show_self(actor: Actor) -> MachineSelfView:
    """Return the keys and rights with which a machine opens its vaults.

    :raises MachineNotFound: the actor is a human user.
    :raises Unauthenticated: the machine was deleted after authentication.
    """
    if actor.kind != "machine":
        raise MachineNotFound("You are logged in as a user, not as a machine.")
    with reading(snapshot=True) as work:
        row = work.execute(sa.select(MACHINES).where(MACHINES.c.id == actor.id)).one_or_none()
        if row is None:
            raise Unauthenticated
        grants = vault.grants_of(work, [row.id])[row.id]
    return MachineSelfView(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        expires_at=row.expires_at,
        vaults=_vaults(grants),
    )


def _view(row: Any, grants: Sequence[Grant]) -> MachineView:
    return MachineView(
        id=row.id,
        name=row.name,
        revision=row.revision,
        created_at=row.created_at,
        expires_at=row.expires_at,
        networks=(row.networks or "").split(),
        last_used_at=row.last_used_at,
        sealed_kek=row.sealed_kek,
        vaults=_vaults(grants),
    )


def _vaults(grants: Sequence[Grant]) -> list[MachineVaultView]:
    return [
        MachineVaultView(
            vault_id=vault.vault_id,
            rights=vault.rights,
            keys=[
                MachineKeyView(generation=generation, sealed_key=sealed_key)
                for generation, sealed_key in vault.keys
            ],
        )
        for vault in grants
    ]
