"""How many events were made under which AUDIT_KEY: to verify them it is needed as long."""

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from vaultr.database.session import postgresql, transaction


def events_under(key_id: str) -> int:
    """Tell how many events that are kept were made under the key of an id; reads all of them."""
    counted = f"SELECT count(*) FROM audit_event WHERE {_inside(0)} > 0"  # nosec B608 - our words alone
    return int(_asked(counted, [key_id]))


def key_beside(known: Collection[str]) -> str | None:
    """Give the id of one key that is not among the known ones, if an event was made under any."""
    others = " AND ".join(f"{_inside(at)} = 0" for at in range(len(known)))
    found = _asked(f"SELECT body FROM audit_event WHERE {others} LIMIT 1", known)  # nosec B608 - our words alone
    return None if found is None else str(json.loads(bytes(found))["k"])


def _inside(at: int) -> str:
    return f"position(:m{at} IN body)" if postgresql() else f"instr(body, :m{at})"


def _asked(query: str, key_ids: Collection[str]) -> Any:
    """Ask about the members by which events name their key, however long it takes."""
    # As the JCS form of their bodies has it, and nowhere else.
    members = {f"m{at}": f'"k":{json.dumps(one)}'.encode() for at, one in enumerate(key_ids)}
    with transaction() as session:
        if postgresql():
            session.execute(sa.text("SET LOCAL statement_timeout = 0"))
        return session.execute(sa.text(query), members).scalar()
