import os
import threading
import time

import pytest

from tests.harness.threads import at_once
from tests.harness.timing import quickest, until
from vaultr.auth.password_hashing import HashGate
from vaultr.errors import Busy


def test_parallel_hashes_never_exceed_the_slots():
    gate, lock = HashGate(slots=2, places=20, wait_seconds=60), threading.Lock()
    now, most = 0, 0

    def work():
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    at_once(lambda _: gate.run(work), 10)

    assert most == 2


def test_full_queue_rejects_immediately(time_limit):
    gate, release = HashGate(slots=1, places=2, wait_seconds=60), threading.Event()
    waiting = [threading.Thread(target=gate.run, args=(release.wait,)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    until(lambda: gate._inside == 3)

    def ask():
        with pytest.raises(Busy) as rejected:
            gate.run(lambda: None)
        assert rejected.value.headers["Retry-After"] == "1"

    assert quickest(ask, within=time_limit(0.5)) < time_limit(0.5)
    release.set()
    for thread in waiting:
        thread.join()


def test_wait_over_the_limit_is_rejected(time_limit):
    gate, release, done = HashGate(slots=1, places=2, wait_seconds=1), threading.Event(), []
    first = threading.Thread(target=gate.run, args=(release.wait,))
    first.start()
    until(lambda: gate._inside == 1)

    def ask():
        began = time.monotonic()
        with pytest.raises(Busy):
            gate.run(lambda: done.append("too late"))
        assert time.monotonic() - began > 0.9

    assert quickest(ask, within=time_limit(2)) < time_limit(2)
    release.set()
    first.join()
    assert gate.run(lambda: "next") == "next"
    assert done == []


def test_failure_releases_its_place():
    gate = HashGate(slots=1, places=1)

    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            gate.run(lambda: 1 / 0)

    assert gate.run(lambda: "right") == "right"


def test_hashes_run_in_a_low_priority_thread():
    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    there = HashGate(slots=1, places=1).run(
        lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    )

    assert there == min(19, max(here, 5))


def test_second_hash_of_same_name_waits_outside_queue():
    gate, release = HashGate(slots=1, places=1, wait_seconds=1), threading.Event()
    first = threading.Thread(target=gate.run, args=(release.wait, {"s:1": 1}))
    first.start()
    until(lambda: gate._inside == 1)

    with pytest.raises(Busy):
        gate.run(lambda: None, {"s:1": 1})
    release.set()
    first.join()

    assert gate.run(lambda: "done", {"s:1": 1}) == "done"
    assert (gate._beside, gate._taken) == (0, {})


def test_waiting_name_does_not_block_other_names():
    gate, release, done = HashGate(slots=1, places=1, wait_seconds=60), threading.Event(), []
    names = [{"s:1": 1}, {"s:1": 1}]
    own = [threading.Thread(target=gate.run, args=(release.wait, one)) for one in names]
    for thread in own:
        thread.start()
    until(lambda: (gate._inside, gate._beside) == (1, 1))

    with pytest.raises(Busy):
        gate.check({"s:1": 1})
    gate.check({"s:2": 1})
    other = threading.Thread(target=lambda: done.append(gate.run(lambda: "done", {"s:2": 1})))
    other.start()
    until(lambda: gate._inside == 2)
    release.set()
    for thread in (*own, other):
        thread.join()

    assert done == ["done"]
