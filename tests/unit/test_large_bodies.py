"""One large body at a time: the second waits, others are rejected, a failure frees the turn."""

import threading

import pytest

from vaultr.api.large_bodies import Turns
from vaultr.errors import Busy

FOREVER = 60.0


def test_second_body_waits_and_third_is_rejected():
    turns, order, waiting = Turns(FOREVER), [], threading.Event()

    def second():
        waiting.set()
        with turns.turn():
            order.append("second")

    with turns.turn():
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(FOREVER)
        while not turns._waiting.locked():
            pass
        with pytest.raises(Busy), turns.turn():
            order.append("third")
        order.append("first")
    thread.join(FOREVER)

    assert order == ["first", "second"]


def test_body_that_waits_too_long_is_rejected():
    turns = Turns(0.01)

    with turns.turn(), pytest.raises(Busy), turns.turn():
        raise AssertionError


def test_failed_body_releases_its_turn():
    turns = Turns(0.01)
    with pytest.raises(RuntimeError), turns.turn():
        raise RuntimeError

    with turns.turn():
        pass
