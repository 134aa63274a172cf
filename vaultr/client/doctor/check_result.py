"""The result of one check."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    :ivar advice: what to do; empty if nothing is wrong.
    :ivar exit_code: the exit code of the command if this check failed.
    """

    name: str
    state: State
    said: str  # a key of `vaultr doctor --json`
    advice: str = ""
    exit_code: int = 1
