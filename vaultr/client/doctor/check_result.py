"""What a checkup of a device found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    :ivar advice: what to do about it; empty where nothing is to be done.
    :ivar exit_code: of the command, where this failed.
    """

    name: str
    state: State
    said: str
    advice: str = ""
    exit_code: int = 1
