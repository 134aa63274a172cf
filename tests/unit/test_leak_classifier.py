"""The timing classifier detects leaks, and reports none without a leak."""

import random

import pytest

from tests.harness.timing_leaks import auc, distinguishable, interleaved, telling


@pytest.fixture(autouse=True)
def fixed_random_seed():
    random.seed(4711)


def noise():
    """Draw a response time on a busy machine: mostly even, sometimes very late."""
    return random.gauss(20, 2) + (random.expovariate(1 / 30) if random.random() < 0.1 else 0)


def pairs(number, leak=lambda time: time):
    return interleaved(
        lambda known: leak(noise()) if known else noise(), [True] * number, [False] * number
    )


def test_auc_matches_its_definition():
    assert auc([3, 4], [1, 2]) == 1
    assert auc([1, 2], [3, 4]) == 0
    assert auc([1, 3], [2, 4]) == 0.25
    assert auc([5, 5], [5, 5]) == 0.5


def test_classifier_finds_nothing_without_leak():
    found = [distinguishable(lambda: telling(pairs(100)), 0.65) for _ in range(50)]

    assert [one for one in found if one] == []


@pytest.mark.parametrize(
    "leak",
    [
        pytest.param(lambda time: time + 3, id="slower"),
        pytest.param(lambda time: time - 3, id="faster"),
        pytest.param(lambda time: time + random.choice([-6, 6]), id="spread"),
    ],
)
def test_classifier_finds_a_leak(leak):
    found = [distinguishable(lambda: telling(pairs(100, leak)), 0.65) for _ in range(20)]

    assert all(found)


def test_single_difference_is_ignored():
    rounds = iter([{"time": 0.7}, {"time": 0.5}, {"time": 0.52}])

    assert distinguishable(lambda: next(rounds), 0.65) == {}


def test_only_stable_difference_in_same_direction_counts():
    same = iter([{"time": 0.7}, {"time": 0.66}, {"time": 0.5}])
    turning = iter([{"time": 0.7}, {"time": 0.3}, {"time": 0.3}])
    against = iter([{"time": 0.7}, {"time": 0.3}, {"time": 0.5}])

    assert distinguishable(lambda: next(same), 0.65) == {"time": 0.66}
    assert distinguishable(lambda: next(turning), 0.65) == {"time": 0.3}
    assert distinguishable(lambda: next(against), 0.65) == {}
