"""Answers about addresses leave on a beat, so that some microseconds more or less do not show.

Known and unknown addresses take the same statements and the same hash; but a row that is found is
read, and one that is not is not. Some hundred measurements tell such differences apart. With the
beat what shows is how many beats an answer took, which they change once in some hundred times.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, Final

BEAT_SECONDS: Final = 0.01

View = Callable[..., Any]


def evenly(view: View) -> View:
    """Let a view's answer or refusal leave a whole number of beats after the view began.

    It stands above ``@operation``, whose record of a refusal is part of what takes time.
    """

    @functools.wraps(view)
    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        try:
            return view(*args, **kwargs)
        finally:
            time.sleep(left_of_beat(time.monotonic() - began))

    call.even = True  # type: ignore[attr-defined]  # read by the guards
    return call


def left_of_beat(seconds: float) -> float:
    """Return how many seconds are left of the beat that is under way after ``seconds``."""
    return BEAT_SECONDS - seconds % BEAT_SECONDS
