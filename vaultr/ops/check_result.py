"""What a look at an installation finds: each says how it stands and what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import click
import sqlalchemy as sa

Check = Callable[[], Iterable["Finding"]]


class Level(StrEnum):
    """How a finding stands."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    :ivar topic: a word such as ``database``.
    :ivar says: what was found, without a secret or an address of a person.
    :ivar todo: what to do; empty where nothing is.
    :ivar judged: whether it could be looked at, at all.
    """

    topic: str
    level: Level
    says: str
    todo: str = ""
    judged: bool = True


def ok(topic: str, says: str) -> Finding:
    """Return of something that is as it should be."""
    return Finding(topic, Level.OK, says)


def warning(topic: str, says: str, todo: str) -> Finding:
    """Return of something that works, but should be seen to."""
    return Finding(topic, Level.WARNING, says, todo)


def not_judged(topic: str, says: str, todo: str) -> Finding:
    """Return of something that could not be looked at: it may be good or bad."""
    return Finding(topic, Level.WARNING, f"not judged: {says}", todo, judged=False)


def problem(topic: str, says: str, todo: str) -> Finding:
    """Return of something that does not work, or is not safe."""
    return Finding(topic, Level.PROBLEM, says, todo)


def gathered(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Do all checks; one that breaks is a finding, and does not end the others."""
    for topic, check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest is still wanted
            yield _broken(topic, error)


def _broken(topic: str, error: Exception) -> Finding:
    """Return of a check that did not come to its end, and of the reason where one is known."""
    cause = getattr(error, "orig", None)
    if type(cause).__name__ == "UndefinedTable" or "no such table" in str(cause):
        return problem(topic, "a table is missing", "Is it the right database? `flask db-status`")
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError):
        return problem(topic, "the database does not answer", "See database; DATABASE_URL.")
    says = f"the check itself failed: {type(error).__name__}"
    return problem(topic, says, "See the log; if it stays, report it as a bug.")


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """Give findings as what `--json` prints."""
    unseen = [one.topic for one in findings if not one.judged]
    shown = [{k: v for k, v in asdict(one).items() if k != "judged"} for one in findings]
    return {"ok": good(findings), "not_judged": unseen, "findings": shown}


def good(findings: Iterable[Finding]) -> bool:
    """Check whether none is a problem."""
    return all(one.level is not Level.PROBLEM for one in findings)


_MARKS = {
    Level.OK: ("ok", "green"),
    Level.WARNING: ("warn", "yellow"),
    Level.PROBLEM: ("BAD", "red"),
}


def lines(findings: Iterable[Finding]) -> list[str]:
    """Give findings as what a person reads: worst last, where a terminal still shows it."""
    order = [Level.OK, Level.WARNING, Level.PROBLEM]
    text = []
    for one in sorted(findings, key=lambda finding: order.index(finding.level)):
        word, colour = _MARKS[one.level]
        text.append(f"{click.style(f'{word:4}', fg=colour)}  {one.topic:12} {one.says}")
        if one.todo:
            text.append(f"{'':20}-> {one.todo}")
    return text
