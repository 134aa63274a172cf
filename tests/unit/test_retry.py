"""How often the client retries, and how long it waits between attempts."""

import pytest

from vaultr.client.transport.retry import RetryPolicy


def run(policy, *, at_least=0.0):
    """Fail in every attempt but the last."""
    for attempt in policy.attempts():
        if attempt.is_last:
            return attempt.number
        attempt.wait(at_least=at_least)
    return None


def test_pauses_double_up_to_the_maximum():
    pauses = []
    policy = RetryPolicy(5, 1.0, 3.0, spread=(1.0, 1.0), sleep=pauses.append)

    assert run(policy) == 5

    assert pauses == [1.0, 2.0, 3.0, 3.0]


def test_pauses_are_random_within_spread_factors():
    pauses = []
    policy = RetryPolicy(50, 1.0, 1.0, spread=(0.5, 1.5), sleep=pauses.append)

    run(policy)

    assert all(0.5 <= pause <= 1.5 for pause in pauses)
    assert len(set(pauses)) > 40


def test_requested_wait_replaces_a_shorter_pause():
    pauses = []

    run(RetryPolicy(2, 1.0, 2.0, spread=(1.0, 1.0), sleep=pauses.append), at_least=7.0)

    assert pauses == [7.0]


def test_body_that_ignores_the_last_attempt_raises():
    with pytest.raises(AssertionError):
        for _ in RetryPolicy(2).attempts():
            pass
