"""What is wrong with a file that is to be imported, line by line, without any value of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from vaultr.client.errors import VaultrError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is odd: ``place`` is an entry or a line, empty for the file as a whole."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ImportProblems(VaultrError):
    """The file cannot be imported as a whole, so nothing of it was."""

    exit_code = 1

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def refuse(message: str) -> NoReturn:
    """Refuse a file as a whole: say what it is and what to do.

    :raises ImportProblems: always, with this one problem.
    """
    raise ImportProblems([Problem("", message)]) from None
