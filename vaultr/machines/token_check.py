"""Find the machine that sends a request, and store the hour of its last use.

Each process caches machines. A cached machine may have changed, so a view that uses the cached
actor selects `ALIVE` in its own statement. This condition is true if the machine still has the
cached revision, and is neither expired nor locked. Every change by the owner creates a new
revision.
"""

import hmac
import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from flask import Flask

from vaultr import clock
from vaultr.app_state import AppSlot
from vaultr.auth import service as auth
from vaultr.database.session import one_statement, postgresql
from vaultr.database.sql import planned
from vaultr.request_context import Actor, current_origin
from vaultr.security.machine_tokens import MachineActors, MachineProof, auth_hash
from vaultr.security.session_check import SessionCheck

__all__ = ["ALIVE", "MACHINE_ACTORS", "auth_hash", "init_app", "machine_check"]

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

ALIVE: Final = (
    "EXISTS (SELECT 1 FROM machines m WHERE m.id = :sid AND m.account_id = :account"
    " AND m.revision = :epoch AND m.expires_at > :now"
    f" AND NOT {auth.locked_sql(':lock_counter')})"  # nosec B608 - constants only
)


def _machine_query(counter: str) -> Any:
    return planned(
        "SELECT m.account_id, m.auth_hash, m.networks, m.expires_at, m.last_used_at, m.revision"
        " FROM machines m WHERE m.id = :sid AND m.expires_at > :now"
        f" AND NOT {auth.locked_sql(counter)}"  # nosec B608 - constants only
    )


# The account's id in the counter of its locks, for either database.
_FOUND_ON_POSTGRESQL: Final = _machine_query("'r:' || replace(CAST(m.account_id AS text), '-', '')")
_FOUND_ON_SQLITE: Final = _machine_query("'r:' || m.account_id")

_OLDER: Final = "id = :sid AND (last_used_at IS NULL OR last_used_at < :hour)"
_STORE_USE: Final = planned(f"UPDATE machines SET last_used_at = :hour WHERE {_OLDER}")  # nosec B608 - constants only
# Do not wait for a transaction that has locked the row, such as one that sets a new account key.
_STORE_USE_UNLOCKED: Final = planned(
    "UPDATE machines SET last_used_at = :hour WHERE id IN"
    f" (SELECT id FROM machines WHERE {_OLDER} FOR UPDATE SKIP LOCKED)"  # nosec B608 - constants only
)


@dataclass(frozen=True, slots=True)
class _Known:
    """A cached machine."""

    account_id: UUID
    revision: int
    expires_at: datetime
    networks: Networks
    used_in: datetime


class _Cache:
    """A limited number of verified machines, by their proof."""

    _MOST = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[MachineProof, _Known] = OrderedDict()

    def get(self, proof: MachineProof) -> _Known | None:
        return self._known.get(proof)

    def put(self, proof: MachineProof, known: _Known | None) -> None:
        with self._lock:
            self._known.pop(proof, None)
            if known is not None:
                self._known[proof] = known
            if len(self._known) > self._MOST:
                self._known.popitem(last=False)


_CACHE: Final = AppSlot[_Cache]("machines.cache")


def init_app(app: Flask) -> None:
    """Create the cache of this process."""
    _CACHE.set(app, _Cache())


def machine_check() -> SessionCheck:
    """Return the SQL condition that a machine is alive and unchanged since it was cached."""
    return SessionCheck(ALIVE, _check_parameters)


def _check_parameters(actor: Actor) -> dict[str, Any]:
    return {
        "sid": actor.session_id,
        "account": actor.account_id,
        "epoch": actor.epoch,
        "now": clock.now(),
        "lock_counter": auth.lock_counter(actor.account_id),
        "lock_end": auth.lock_end(),
    }


def _known(proof: MachineProof) -> Actor | None:
    """Return a machine's actor if it was cached in this hour and may be used from this network."""
    known, now = _CACHE.get().get(proof), clock.now()
    if known is None or known.expires_at <= now or known.used_in < _hour(now):
        return None
    actor = _actor(proof, known)
    return actor if actor.in_network else None


def _read(proof: MachineProof) -> Actor | None:
    """Read the actor of a machine in one statement; None if it is dead or the key is wrong."""
    now = clock.now()
    values = {"sid": proof.machine_id, "now": now, "lock_end": auth.lock_end()}
    statement = _FOUND_ON_POSTGRESQL if postgresql() else _FOUND_ON_SQLITE
    with one_statement() as connection:
        row = connection.execute(statement, values).one_or_none()
    if row is None or not hmac.compare_digest(bytes(row.auth_hash), proof.auth_hash):
        _CACHE.get().put(proof, None)
        return None
    networks = tuple(ipaddress.ip_network(network) for network in (row.networks or "").split())
    known = _Known(row.account_id, row.revision, row.expires_at, networks, _hour(now))
    actor = _actor(proof, known)
    if actor.in_network:
        if row.last_used_at is None or row.last_used_at < _hour(now):
            _store_use(proof.machine_id, _hour(now))
        _CACHE.get().put(proof, known)
    return actor


MACHINE_ACTORS: Final = MachineActors(known=_known, read=_read)


def _actor(proof: MachineProof, known: _Known) -> Actor:
    return Actor(
        known.account_id,
        proof.machine_id,
        known.revision,
        kind="machine",
        in_network=not known.networks or _inside(current_origin().peer, known.networks),
    )


def _inside(peer: str, networks: Networks) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _store_use(machine_id: UUID, hour: datetime) -> None:
    statement = _STORE_USE_UNLOCKED if postgresql() else _STORE_USE
    with one_statement() as connection:
        connection.execute(statement, {"sid": machine_id, "hour": hour})
