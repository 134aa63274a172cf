"""Problems of a file to import, by entry or line, without values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from vaultr.client.errors import VaultrError


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem; ``place`` is an entry or a line, empty for the file as a whole."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ImportProblems(VaultrError):
    """The file cannot be imported; none of it was."""

    exit_code = 1

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def reject(message: str) -> NoReturn:
    """Reject a file as a whole; the message says what the file is and what to do next.

    :raises ImportProblems: always, with this one problem.
    """
    raise ImportProblems([Problem("", message)]) from None
