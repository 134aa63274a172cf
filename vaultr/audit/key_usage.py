"""Find the events that an AUDIT_KEY authenticated, because verifying them needs that key."""

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from vaultr.database.session import postgresql, transaction


def events_under(key_id: str) -> int:
    """Count the stored events that a key authenticated. Reads all events."""
    counted = f"SELECT count(*) FROM audit_event WHERE {_inside(0)} > 0"  # nosec B608 - constants only
    return int(_scalar(counted, [key_id]))


def key_beside(known: Collection[str]) -> str | None:
    """Return the id of an unknown key that an event names, or None."""
    others = " AND ".join(["1 = 1", *(f"{_inside(at)} = 0" for at in range(len(known)))])
    found = _scalar(f"SELECT body FROM audit_event WHERE {others} LIMIT 1", known)  # nosec B608 - constants only
    return None if found is None else str(json.loads(bytes(found))["k"])


def _inside(at: int) -> str:
    return f"position(:m{at} IN body)" if postgresql() else f"instr(body, :m{at})"


def _scalar(query: str, key_ids: Collection[str]) -> Any:
    """Search for the member that names the key, without a time limit."""
    # Canonical JSON contains the key's id in exactly this form, and nothing else can look like it.
    members = {f"m{at}": f'"k":{json.dumps(one)}'.encode() for at, one in enumerate(key_ids)}
    with transaction() as session:
        if postgresql():
            session.execute(sa.text("SET LOCAL statement_timeout = 0"))
        return session.execute(sa.text(query), members).scalar()
