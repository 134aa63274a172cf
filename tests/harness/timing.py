"""Measure durations on a machine that may pause a test for seconds at any line."""

import time


def seconds(work):
    """Return the wall-clock seconds that ``work()`` takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def quickest(work, *, within, rounds=5):
    """Do it, again while it takes longer than ``within``; return the least of its times.

    What our code waits for, it waits for each time; what a busy machine did once, it did once. So
    the least time is compared with a limit. ``work`` asserts itself what must hold each time.
    """
    least = seconds(work)
    while least >= within and (rounds := rounds - 1) > 0:
        least = min(least, seconds(work))
    return least


def until(condition, *, within=60.0):
    """Wait until ``condition()`` is true, at most ``within`` seconds, and return its value."""
    end = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return found
