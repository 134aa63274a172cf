"""Machines that hold a vault's keys: store, replace, delete and list their wraps.

The caller has locked the account. Like every writer of wraps, these functions lock the vaults in
the order of their ids, so a rotation and a grant never run at the same time.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.database.session import lock_rows
from vaultr.errors import Conflict, FieldError, Unprocessable
from vaultr.vault.access import MACHINE
from vaultr.vault.errors import VaultNotFound
from vaultr.vault.models import ITEMS, VAULT_KEYS, VAULTS, VERSIONS


@dataclass(frozen=True, slots=True)
class Grant:
    """A machine's access to one vault: its rights, and its wraps by generation, in order."""

    vault_id: UUID
    rights: Literal["read", "write"]
    keys: Sequence[tuple[int, bytes]]


def lock_granted(
    work: Session, account_id: UUID, holder_id: UUID, grants: Sequence[Grant]
) -> dict[UUID, Any]:
    """Lock the vaults that a machine may open now or with ``grants``; return those of ``grants``.

    :return: for each vault its current generation and the generation of its overview.
    :raises VaultNotFound: the account has no such vault.
    """
    wanted = {grant.vault_id for grant in grants}
    held = set(
        work.scalars(sa.select(VAULT_KEYS.c.vault_id).where(_wraps_of(holder_id)).distinct())
    )
    mine = sa.and_(VAULTS.c.account_id == account_id, VAULTS.c.id.in_(wanted | held))
    lock_rows(work, sa.select(VAULTS.c.id).where(mine).order_by(VAULTS.c.id).with_for_update())
    columns = (VAULTS.c.id, VAULTS.c.generation, VAULTS.c.overview_generation)
    found = {row.id: row for row in work.execute(sa.select(*columns).where(mine))}
    missing = [at for at, one in enumerate(grants) if one.vault_id not in found]
    if missing:
        faults = [FieldError(f"/vaults/{at}/vault_id", "no such vault") for at in missing[:50]]
        raise VaultNotFound(errors=faults)
    return found


def check_once(grants: Sequence[Grant]) -> None:
    """Check that no vault, and no generation of a vault, is listed twice.

    :raises Unprocessable: with a field error for each duplicate.
    """
    faults, known = [], set()
    for at, one in enumerate(grants):
        if one.vault_id in known:
            faults.append(FieldError(f"/vaults/{at}/vault_id", "listed twice"))
        known.add(one.vault_id)
        generations = [generation for generation, _ in one.keys]
        if len({*generations}) < len(generations):
            faults.append(FieldError(f"/vaults/{at}/keys", "lists a generation twice"))
    if faults:
        raise Unprocessable(errors=faults[:50])


def check_generations(work: Session, vaults: Mapping[UUID, Any], grants: Sequence[Grant]) -> None:
    """Check that the wraps of each vault open all its contents.

    :param vaults: the result of `lock_granted`.
    :raises Unprocessable: a generation is above the vault's.
    :raises Conflict: the current generation, or another one that contents still use, is missing.
    """
    for at, one in enumerate(grants):
        vault, sent = vaults[one.vault_id], {generation for generation, _ in one.keys}
        if any(generation > vault.generation for generation in sent):
            fault = FieldError(f"/vaults/{at}/keys", "a generation above the vault's")
            raise Unprocessable(errors=[fault], members={"generation": vault.generation})
        missing = {*range(1, vault.generation + 1)} - sent
        needed = {vault.generation, vault.overview_generation}
        if missing & needed or (missing and _any_content(work, one.vault_id, missing)):
            fault = FieldError(f"/vaults/{at}/keys", "must cover each generation that is in use")
            raise Conflict(
                "The keys of a vault leave out a generation that it uses. Read the vault again.",
                errors=[fault],
                members={"generation": vault.generation},
            )


def _any_content(work: Session, vault_id: UUID, generations: Collection[int]) -> bool:
    """Check whether an item or a version is sealed under one of the generations."""
    parts = [
        sa.exists().where(table.c.vault_id == vault_id, table.c.generation.in_(generations))
        for table in (ITEMS, VERSIONS)
    ]
    return bool(work.execute(sa.select(sa.or_(*parts))).scalar_one())


def replace_grants(work: Session, holder_id: UUID, grants: Sequence[Grant], event_id: UUID) -> None:
    """Replace all wraps of a machine. Its vaults must be locked, and the grants checked."""
    delete_grants(work, holder_id)
    rows = [
        {
            "vault_id": grant.vault_id,
            "holder_id": holder_id,
            "generation": generation,
            "role": MACHINE,
            "rights": grant.rights,
            "sealed_key": sealed_key,
            "audit_event_id": event_id,
        }
        for grant in grants
        for generation, sealed_key in grant.keys
    ]
    if rows:
        work.execute(sa.insert(VAULT_KEYS), rows)


def delete_grants(work: Session, holder_id: UUID) -> None:
    """Delete all wraps of a machine."""
    work.execute(sa.delete(VAULT_KEYS).where(_wraps_of(holder_id)))


def grants_of(work: Session, holder_ids: Collection[UUID]) -> dict[UUID, list[Grant]]:
    """Return the access of machines, ordered by vault and generation."""
    rows = sa.select(VAULT_KEYS).where(VAULT_KEYS.c.holder_id.in_(holder_ids))
    in_order = rows.where(VAULT_KEYS.c.role == MACHINE).order_by(
        VAULT_KEYS.c.holder_id, VAULT_KEYS.c.vault_id, VAULT_KEYS.c.generation
    )
    keys: dict[tuple[UUID, UUID], list[tuple[int, bytes]]] = defaultdict(list)
    rights: dict[tuple[UUID, UUID], Literal["read", "write"]] = {}
    for row in work.execute(in_order):
        name = (row.holder_id, row.vault_id)
        keys[name].append((row.generation, bytes(row.sealed_key)))
        rights[name] = row.rights  # of the newest generation
    found: dict[UUID, list[Grant]] = {holder_id: [] for holder_id in holder_ids}
    for (holder_id, vault_id), wraps in keys.items():
        found[holder_id].append(Grant(vault_id, rights[holder_id, vault_id], wraps))
    return found


def grant_bytes(work: Session, holder_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return about how many bytes the wraps of machines take as JSON."""
    size = sa.func.sum(sa.func.length(VAULT_KEYS.c.sealed_key) * 4 / 3 + 48)
    query = (
        sa.select(VAULT_KEYS.c.holder_id, sa.cast(size, sa.BigInteger))
        .where(VAULT_KEYS.c.holder_id.in_(holder_ids), VAULT_KEYS.c.role == MACHINE)
        .group_by(VAULT_KEYS.c.holder_id)
    )
    return {holder_id: size or 0 for holder_id, size in work.execute(query)}


def _wraps_of(holder_id: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(VAULT_KEYS.c.holder_id == holder_id, VAULT_KEYS.c.role == MACHINE)
