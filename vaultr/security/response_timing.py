"""Response times rounded up to a fixed step, so that they do not show whether an account exists.

Known and unknown email addresses run the same statements and the same hash, but only an existing
row is read. A few hundred measurements would show that difference. With rounding, a sender sees
only the number of steps, and the difference changes it only once in a few hundred requests.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, Final

STEP_SECONDS: Final = 0.01

View = Callable[..., Any]


def round_response_time(view: View) -> View:
    """Make a view take a whole number of steps, whether it returns or raises.

    Put it above ``@operation``, because recording an error takes time too.
    """

    @functools.wraps(view)
    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        try:
            return view(*args, **kwargs)
        finally:
            time.sleep(seconds_left(time.monotonic() - began))

    call.even = True  # type: ignore[attr-defined]  # read by the guards
    return call


def seconds_left(seconds: float) -> float:
    """Return the seconds left of the current step, ``seconds`` after the start."""
    return STEP_SECONDS - seconds % STEP_SECONDS
