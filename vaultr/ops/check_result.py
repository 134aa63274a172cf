"""Results of checks: the status, what the check found, and what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import click
import sqlalchemy as sa

Check = Callable[[], Iterable["CheckResult"]]


class Level(StrEnum):
    """The status of a check."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    :ivar topic: a word such as ``database``.
    :ivar says: what was found, without secrets or personal addresses.
    :ivar todo: what to do; empty if nothing needs to be done.
    :ivar judged: whether the check could run.
    """

    topic: str
    level: Level
    says: str
    todo: str = ""
    judged: bool = True


def ok(topic: str, says: str) -> CheckResult:
    """Return the result of a check that passed."""
    return CheckResult(topic, Level.OK, says)


def warning(topic: str, says: str, todo: str) -> CheckResult:
    """Return the result of a check that passed but found something to look at."""
    return CheckResult(topic, Level.WARNING, says, todo)


def not_judged(topic: str, says: str, todo: str) -> CheckResult:
    """Return the result of a check that could not run."""
    return CheckResult(topic, Level.WARNING, f"not checked: {says}", todo, judged=False)


def problem(topic: str, says: str, todo: str) -> CheckResult:
    """Return the result of a check that failed: something does not work, or is not safe."""
    return CheckResult(topic, Level.PROBLEM, says, todo)


def run_checks(checks: Iterable[tuple[str, Check]]) -> Iterator[CheckResult]:
    """Run all checks. If one raises an error, that becomes its result, and the others still run."""
    for topic, check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - the other checks must still run
            yield _broken(topic, error)


def _broken(topic: str, error: Exception) -> CheckResult:
    """Return the result of a check that raised an error, with its cause if known."""
    cause = getattr(error, "orig", None)
    if type(cause).__name__ == "UndefinedTable" or "no such table" in str(cause):
        todo = "Check that DATABASE_URL names the right database, and run `flask db-status`."
        return problem(topic, "a table is missing", todo)
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError):
        return problem(
            topic,
            "the database does not respond",
            "See the result of `database`, and check DATABASE_URL.",
        )
    says = f"the check failed: {type(error).__name__}"
    return problem(topic, says, "Read the log. If it happens again, report a bug.")


def as_json(findings: list[CheckResult]) -> dict[str, Any]:
    """Return results as `--json` prints them."""
    unseen = [finding.topic for finding in findings if not finding.judged]
    shown = [{k: v for k, v in asdict(finding).items() if k != "judged"} for finding in findings]
    return {"ok": no_problems(findings), "not_judged": unseen, "findings": shown}


def no_problems(findings: Iterable[CheckResult]) -> bool:
    """Return whether no result is a problem."""
    return all(finding.level is not Level.PROBLEM for finding in findings)


_MARKS = {
    Level.OK: ("ok", "green"),
    Level.WARNING: ("warn", "yellow"),
    Level.PROBLEM: ("BAD", "red"),
}


def lines(findings: Iterable[CheckResult]) -> list[str]:
    """Return results as text, the worst last, where a terminal still shows them."""
    order = [Level.OK, Level.WARNING, Level.PROBLEM]
    text = []
    for result in sorted(findings, key=lambda finding: order.index(finding.level)):
        word, colour = _MARKS[result.level]
        text.append(f"{click.style(f'{word:4}', fg=colour)}  {result.topic:12} {result.says}")
        if result.todo:
            text.append(f"{'':20}-> {result.todo}")
    return text
