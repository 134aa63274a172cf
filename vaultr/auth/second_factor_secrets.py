"""How a factor's secret is kept: sealed under FACTOR_KEY, and anew when that rotates."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr.auth.models import Factor
from vaultr.database.session import one_statement, transaction
from vaultr.observability import logs
from vaultr.security import keyring
from vaultr.security.keyring import CannotOpen, Resealed


def sealed(account_id: UUID, factor_id: UUID, secret: bytes) -> dict[str, Any]:
    """Seal a secret for its one place; give the columns that keep it."""
    ring = keyring.current().factor
    return {"sealed": ring.seal(_purpose(account_id, factor_id), secret), "key_id": ring.current_id}


def opened(account_id: UUID, factor_id: UUID, kept: bytes) -> bytes | None:
    """Open a secret; None, and a line in the log, if its key is gone or it was moved here."""
    try:
        return keyring.current().factor.open(_purpose(account_id, factor_id), kept)
    except CannotOpen as error:
        logs.failure("factor.unreadable", error)  # its owner still has the recovery codes
        return None


def reseal(*, at_a_time: int = 500) -> Resealed:
    """Seal under the first FACTOR_KEY what is sealed under another; tell how much was and was not.

    Each row changes only if it still is as it was read, so it may run beside everything else, and
    more than once. What no key opens stays as it is, and is logged.
    """
    ring, told, after = keyring.current().factor, Resealed(), UUID(int=0)
    while True:
        with transaction() as work:
            old = sa.select(Factor.id, Factor.account_id, Factor.sealed).where(
                Factor.key_id != ring.current_id, Factor.id > after
            )
            rows = work.execute(old.order_by(Factor.id).limit(at_a_time)).all()
            for row in rows:
                _reseal(work, row, told)
        if not rows:
            return told
        after = rows[-1].id


def count_by_key() -> dict[str, int]:
    """Tell how many secrets are sealed under each FACTOR_KEY, by its id."""
    query = sa.select(Factor.key_id, sa.func.count().label("number")).group_by(Factor.key_id)
    with one_statement() as connection:
        return {row.key_id: row.number for row in connection.execute(query)}


def _reseal(work: Work, row: Any, told: Resealed) -> None:
    secret = opened(row.account_id, row.id, row.sealed)
    if secret is None:
        told.left += 1
        return
    change = (
        sa.update(Factor)
        .where(Factor.id == row.id, Factor.sealed == row.sealed)
        .values(**sealed(row.account_id, row.id, secret))
        .returning(Factor.id)
        .execution_options(synchronize_session=False)
    )
    told.done += len(work.execute(change).all())


def _purpose(account_id: UUID, factor_id: UUID) -> str:
    return f"vaultr/factor/{account_id}/{factor_id}"
