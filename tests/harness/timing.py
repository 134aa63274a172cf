"""Measure durations on a machine that may pause a test for seconds at any line."""

import time


def seconds(work):
    """Return the wall-clock seconds that ``work()`` takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def quickest(work, *, within, rounds=5):
    """Return the shortest time of ``work``; repeat it while it takes longer than ``within``.

    Delays of our code occur in every run; delays of a busy machine do not. So only the shortest
    time is compared with a limit. ``work`` asserts what must be true in every run.
    """
    least = seconds(work)
    while least >= within and (rounds := rounds - 1) > 0:
        least = min(least, seconds(work))
    return least


def until(condition, *, within=60.0):
    """Wait at most ``within`` seconds until ``condition()`` is true, and return its value."""
    end = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return found
