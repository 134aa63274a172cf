"""Prepared statements: PostgreSQL plans each frequent statement once for each connection.

psycopg2 sends SQL text, which PostgreSQL parses and plans each time. For a read that joins four
tables and inserts its audit event, planning takes longer than running. So this module sends a
marked statement as PREPARE once for each connection, and as EXECUTE from then on. Measured on two
cores for the read of an item with its event: 743 µs before, 270 µs after. Behind a pooler that
changes connections between transactions, turn this off: ``?prepare=off`` in DATABASE_URL.
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

_MOST = 500  # more than Vaultr has; reached only if a text differs in each call
_KNOWN = "vaultr.plans"
# Whether statements can stay prepared on a connection.
ALLOWED: Final = AppSlot[bool]("database.prepared_statements.allowed")
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Plan:
    """PREPARE for each statement of a text, by name, and the text that then EXECUTEs them."""

    prepare: dict[str, str]
    execute: str


def listen(engine: sa.Engine, *, all_statements: bool) -> None:
    """Prepare all statements on ``engine``, or only those with the execution option ``planned``."""
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
                raise  # the transaction has failed; a marked statement must be correct
            plans[statement] = None
            return statement, parameters
        return plan.execute, parameters

    sa.event.listen(engine, "before_cursor_execute", planned, retval=True)


def prepare(info: dict[Any, Any], cursor: Any, plan: Plan) -> None:
    """Prepare the statements of ``plan`` that are not yet prepared on this connection."""
    known: set[str] = info.setdefault(_KNOWN, set())
    for name, text in plan.prepare.items():
        if name not in known:
            cursor.execute(text)
            known.add(name)


@cache
def plan_of(text: str) -> Plan | None:
    """Return the plan of a text that is the same in each call; None if it cannot be prepared."""
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
        body = _PARAMETER.sub(lambda match: places[match[1]], statement).replace("%%", "%")  # noqa: B023 - used immediately
        name = f"vaultr_{hashlib.sha256(statement.encode()).hexdigest()[:24]}"
        prepare[name] = f"PREPARE {name} AS {body}"
        arguments = ", ".join(f"%({name})s" for name in names)
        execute.append(f"EXECUTE {name}({arguments})" if names else f"EXECUTE {name}")
    return Plan(prepare, "; ".join(execute))
