"""Statements that PostgreSQL plans once a connection: a hot read costs half of what it did.

psycopg2 sends texts, which are parsed and planned each time; for a read that joins four tables and
inserts its audit event, planning takes longer than running. So a marked statement becomes PREPARE,
once a connection, and EXECUTE from then on. Measured on two cores: 743 µs became 270 µs for the
read of an item with its event. Behind a pooler that changes connections between transactions,
switch this off: ``?prepare=off`` in DATABASE_URL.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import psycopg2
import sqlalchemy as sa

from vaultr.app_state import AppSlot

PLANNED = {"planned": True}  # the execution option that marks a statement

_MOST = 500  # statements; more than there are, so only texts that are made anew each time meet it
_KNOWN = "vaultr.plans"
# Whether statements may stay prepared on a connection.
ALLOWED: Final = AppSlot[bool]("database.prepared_statements.allowed")
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Plan:
    """How one text is prepared, statement by statement, and how it is then executed."""

    prepare: dict[str, str]
    execute: str


def listen(engine: sa.Engine, *, all_statements: bool) -> None:
    """Plan what runs on ``engine``: all of it, or what has the execution option ``planned``."""
    plans: dict[str, Plan | None] = {}

    def planned(
        connection: sa.Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> tuple[str, Any]:
        if executemany or not (all_statements or context.execution_options.get("planned")):
            return statement, parameters
        if statement not in plans:
            plans[statement] = _plan(statement) if len(plans) < _MOST else None
        plan = plans[statement]
        if plan is None:
            return statement, parameters
        try:
            prepare(connection.connection.info, cursor, plan)
        except psycopg2.ProgrammingError:
            if not all_statements:
                raise  # the transaction is spoilt; marked texts are ours to get right
            plans[statement] = None
            return statement, parameters
        return plan.execute, parameters

    sa.event.listen(engine, "before_cursor_execute", planned, retval=True)


def prepare(info: dict[Any, Any], cursor: Any, plan: Plan) -> None:
    """Prepare what is not yet prepared on the connection whose own ``info`` this is."""
    known: set[str] = info.setdefault(_KNOWN, set())
    for name, text in plan.prepare.items():
        if name not in known:
            cursor.execute(text)
            known.add(name)


@cache
def plan_of(text: str) -> Plan | None:
    """Return the plan of a text that is made once, not anew each time; None if it can have none."""
    return _plan(text)


def _plan(text: str) -> Plan | None:
    prepare, execute = {}, []
    for statement in text.split("; "):
        if (
            not statement.lstrip()
            .upper()
            .startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"))
        ):
            return None
        names = list(dict.fromkeys(_PARAMETER.findall(statement)))
        places = {name: f"${place}" for place, name in enumerate(names, 1)}
        body = _PARAMETER.sub(lambda match: places[match[1]], statement).replace("%%", "%")  # noqa: B023 - used at once
        name = f"vaultr_{hashlib.sha256(statement.encode()).hexdigest()[:24]}"
        prepare[name] = f"PREPARE {name} AS {body}"
        given = ", ".join(f"%({one})s" for one in names)
        execute.append(f"EXECUTE {name}({given})" if names else f"EXECUTE {name}")
    return Plan(prepare, "; ".join(execute))
