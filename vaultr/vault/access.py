"""Access rights: only this module decides which actor may open or change a vault.

The owner is the vault's account. A machine (later a member) has a wrap of the vault's current keys;
the wrap's row also stores its rights.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import sqlalchemy as sa

from vaultr.errors import Forbidden, Unauthenticated
from vaultr.request_context import Actor
from vaultr.security import session_check
from vaultr.vault.errors import VaultNotFound
from vaultr.vault.models import VAULT_KEYS, VAULTS

Right = Literal["read", "write", "owner"]

OWNER: Final = "owner"
MACHINE: Final = "machine"

_RANK: Final[dict[str, int]] = {"read": 0, "write": 1, "owner": 2}
_DENIED: Final[dict[str, str]] = {
    "write": "This machine may only read this vault. Its owner can allow it to write.",
    "owner": "Only the owner of a vault may do this.",
}
# A machine's wrap of the current keys; for a machine, the parameter `sid` is the machine's id.
_HELD: Final = (
    "FROM vault_keys h"
    " WHERE h.vault_id = v.id AND h.holder_id = :sid AND h.generation = v.generation"
)


@dataclass(frozen=True, slots=True)
class Access:
    """SQL for one kind of actor; `parameters` returns the values of its parameters.

    :ivar alive: the condition that the session or the token of the actor is alive.
    :ivar opens: the condition that the actor may open the vault ``v``.
    :ivar role: an expression for the actor's right: ``read``, ``write`` or ``owner``.
    :ivar holder: the parameter with the ``holder_id`` of the actor's wraps.
    """

    alive: str
    opens: str
    role: str
    holder: str

    @property
    def from_vault(self) -> str:
        """Return the FROM clause of the actor's vault ``v``.

        It joins the vault to one constant row, so that a statement returns a row even if the actor
        has no such vault.
        """
        return f"FROM (SELECT 1 AS one) o LEFT JOIN vaults v ON v.id = :vault_id AND {self.opens}"


def of(actor: Actor) -> Access:
    """Return the SQL that decides what ``actor`` may do."""
    return of_kind(actor.kind, session_check.sql(actor.kind))


@cache
def of_kind(kind: str, alive_sql: str) -> Access:
    """Return the SQL for one kind of actor; ``alive_sql`` checks its session or token."""
    own = "v.account_id = :account"
    if kind == "account":
        return Access(alive_sql, own, f"'{OWNER}'", ":account")
    held = f"(SELECT h.rights {_HELD})"
    return Access(alive_sql, f"{own} AND EXISTS (SELECT 1 {_HELD})", held, ":sid")


def parameters(actor: Actor, **more: Any) -> dict[str, Any]:
    """Return the parameters for the SQL of `of`, together with ``more``."""
    return session_check.parameters(actor) | more


def check(row: Any) -> None:
    """Check the columns ``alive`` and ``owned`` of a row.

    :raises Unauthenticated: the session or the token is dead.
    :raises VaultNotFound: the actor has no such vault.
    """
    if not row.alive:
        raise Unauthenticated
    if not row.owned:
        raise VaultNotFound


def check_right(role: str, needed: Right) -> None:
    """Check that the role of an actor includes a right.

    :raises Forbidden: it does not.
    """
    if _RANK[role] < _RANK[needed]:
        raise Forbidden(_DENIED[needed])


def vaults_of(actor: Actor) -> "sa.Select[Any]":
    """Return the query of all vaults that an actor may open, each with its ``role``."""
    if actor.kind == "account":
        role = sa.literal(OWNER).label("role")
        return sa.select(VAULTS, role).where(VAULTS.c.account_id == actor.account_id)
    held = sa.and_(
        VAULT_KEYS.c.vault_id == VAULTS.c.id,
        VAULT_KEYS.c.generation == VAULTS.c.generation,
        VAULT_KEYS.c.holder_id == actor.id,
    )
    query = sa.select(VAULTS, VAULT_KEYS.c.rights.label("role")).join(VAULT_KEYS, held)
    return query.where(VAULTS.c.account_id == actor.account_id)
