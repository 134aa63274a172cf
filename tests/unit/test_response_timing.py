"""Responses that depend on an email address take a whole number of time steps."""

import time

import pytest

from vaultr.security import response_timing
from vaultr.security.response_timing import STEP_SECONDS, seconds_left


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(0, 1), (0.001, 0.9), (0.0099, 0.01), (0.01, 1), (0.014, 0.6), (0.0999, 0.01), (1.234, 0.6)],
)
def test_remaining_time_ends_with_the_current_interval(seconds, left):
    assert seconds_left(seconds) == pytest.approx(left * STEP_SECONDS, abs=1e-9)


@pytest.mark.parametrize("work", [0.0, 0.002, 0.013])
def test_response_time_is_rounded_up_to_a_step(work, monkeypatch):
    slept = []
    monkeypatch.setattr(response_timing.time, "sleep", slept.append)
    clock = iter([100.0, 100.0 + work])
    monkeypatch.setattr(response_timing.time, "monotonic", lambda: next(clock))

    assert response_timing.round_response_time(lambda: "answer")() == "answer"

    [waited] = slept
    assert (work + waited) % STEP_SECONDS == pytest.approx(0, abs=1e-9) or (
        work + waited
    ) % STEP_SECONDS == pytest.approx(STEP_SECONDS, abs=1e-9)
    assert waited > 0


def test_error_response_waits_too():
    def reject():
        raise ZeroDivisionError

    began = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        response_timing.round_response_time(reject)()

    assert time.monotonic() - began >= STEP_SECONDS
