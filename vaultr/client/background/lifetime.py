"""How long the agent holds a key: until it is idle, for a fixed time, or until logout."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

IDLE_SECONDS: Final = 15 * 60


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long an unlock lasts. Without limits, it lasts until the device is locked or logged out.

    :ivar idle_seconds: the key is forgotten after this time without use.
    :ivar total_seconds: the key is forgotten after this time, used or not.
    :ivar with_terminal: the key is forgotten when the terminal is closed.
    """

    idle_seconds: float | None = None
    total_seconds: float | None = None
    with_terminal: bool = False

    @classmethod
    def idle(cls, seconds: float = IDLE_SECONDS) -> "Lifetime":
        """Return the default: until idle, or until the terminal is closed."""
        return cls(idle_seconds=seconds, with_terminal=True)

    def left(self, *, used: float, idle: float) -> float:
        """Return the seconds left, ``used`` seconds after the start; infinite without a limit.

        :param idle: the seconds since the last use.
        """
        by_idle = math.inf if self.idle_seconds is None else self.idle_seconds - idle
        by_total = math.inf if self.total_seconds is None else self.total_seconds - used
        return min(by_idle, by_total)

    def to_json(self) -> dict[str, Any]:
        """Return it with plain types."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Lifetime":
        """Read the result of :meth:`to_json`."""
        return cls(**value)
