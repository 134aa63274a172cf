"""Secrets of second factors, sealed under FACTOR_KEY."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr.auth.models import Factor
from vaultr.database.session import one_statement, transaction
from vaultr.observability import logs
from vaultr.security import keyring
from vaultr.security.keyring import CannotOpen, Resealed


def seal_secret(account_id: UUID, factor_id: UUID, secret: bytes) -> dict[str, Any]:
    """Seal a secret for one factor; return the columns that store it."""
    ring = keyring.current().factor
    return {"sealed": ring.seal(_purpose(account_id, factor_id), secret), "key_id": ring.current_id}


def open_secret(account_id: UUID, factor_id: UUID, sealed: bytes) -> bytes | None:
    """Open a secret; if its key is missing or its row is invalid, log that and return None."""
    try:
        return keyring.current().factor.open(_purpose(account_id, factor_id), sealed)
    except CannotOpen as error:
        logs.failure("factor.unreadable", error)  # the owner still has the recovery codes
        return None


def reseal_factors(*, at_a_time: int = 500) -> Resealed:
    """Reseal all secrets under the first FACTOR_KEY; return how many were and were not resealed.

    A row is updated only if nobody changed it since it was read, so this can run at any time and
    repeatedly. A secret that no key opens stays unchanged and is logged.
    """
    ring, counts, after = keyring.current().factor, Resealed(), UUID(int=0)
    while True:
        with transaction() as work:
            old = sa.select(Factor.id, Factor.account_id, Factor.sealed).where(
                Factor.key_id != ring.current_id, Factor.id > after
            )
            rows = work.execute(old.order_by(Factor.id).limit(at_a_time)).all()
            for row in rows:
                _reseal_row(work, row, counts)
        if not rows:
            return counts
        after = rows[-1].id


def factors_by_key() -> dict[str, int]:
    """Count the secrets by the id of their FACTOR_KEY."""
    query = sa.select(Factor.key_id, sa.func.count().label("number")).group_by(Factor.key_id)
    with one_statement() as connection:
        return {row.key_id: row.number for row in connection.execute(query)}


def _reseal_row(work: Work, row: Any, counts: Resealed) -> None:
    secret = open_secret(row.account_id, row.id, row.sealed)
    if secret is None:
        counts.left += 1
        return
    change = (
        sa.update(Factor)
        .where(Factor.id == row.id, Factor.sealed == row.sealed)
        .values(**seal_secret(row.account_id, row.id, secret))
        .returning(Factor.id)
        .execution_options(synchronize_session=False)
    )
    counts.done += len(work.execute(change).all())


def _purpose(account_id: UUID, factor_id: UUID) -> str:
    return f"vaultr/factor/{account_id}/{factor_id}"
