"""How many events were made under which AUDIT_KEY: to verify them it is needed as long."""

import json

import sqlalchemy as sa

from vaultr.database.session import postgresql, transaction


def events_under(key_id: str) -> int:
    """Tell how many events that are kept were made under the key of an id; reads all of them."""
    member = f'"k":{json.dumps(key_id)}'.encode()  # as their JCS form has it, and nowhere else
    inside = "position(:member IN body)" if postgresql() else "instr(body, :member)"
    counted = sa.text(
        f"SELECT count(*) FROM audit_event WHERE {inside} > 0"  # nosec B608 - of our words alone
    )
    with transaction() as session:
        if postgresql():
            session.execute(sa.text("SET LOCAL statement_timeout = 0"))
        return int(session.execute(counted, {"member": member}).scalar_one())
