"""Sliding-window counters, compared with a model: on Redis, in memory, with many threads."""

import itertools
import threading
from dataclasses import replace

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultr.ratelimit import counters
from vaultr.ratelimit.counters import MemoryCounters, RedisCounters
from vaultr.ratelimit.limiter import FallbackLimiter
from vaultr.ratelimit.sliding_window import Count, Slots, count_one, refund_of
from vaultr.settings.types import Rate

STEPS = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 3)), max_size=60)
_names = itertools.count()


class Model:
    """Every allowed hit by time, which the counters must agree with."""

    def __init__(self, limit, seconds):
        self.limit, self.window, self.hits = limit, seconds * 1000, []

    def take(self, now, cost):
        slot = now // self.window
        current = sum(1 for hit in self.hits if hit // self.window == slot)
        previous = sum(1 for hit in self.hits if hit // self.window == slot - 1)
        left = self.window - now % self.window
        fits = current + previous * left / self.window + cost <= self.limit
        self.hits += [now] * cost if fits else []
        return fits


class Clock:
    def __init__(self):
        self.now = 1_000_000

    def __call__(self):
        return self.now / 1000


@given(limit=st.integers(1, 12), seconds=st.integers(1, 5), steps=STEPS)
def test_memory_counters_allow_what_the_model_allows(limit, seconds, steps):
    clock = Clock()
    memory, model = MemoryCounters(clock), Model(limit, seconds)

    for wait, cost in steps:
        clock.now += wait
        [window] = memory.take([Count("k", Rate(limit, seconds), cost)])
        assert window.allowed == model.take(clock.now, cost)
        assert 0 <= window.remaining <= limit


@given(limit=st.integers(1, 12), seconds=st.integers(1, 5), waits=st.lists(st.integers(0, 4000)))
def test_counters_match_the_model(limit, seconds, waits):
    now, stored, model = 1_000_000, Slots(), Model(limit, seconds)

    for wait in waits:
        now += wait
        after, window = count_one(stored, Rate(limit, seconds), now)
        assert window.allowed == model.take(now, 1)
        assert 0 <= window.remaining <= limit
        stored = after if window.allowed else stored


@pytest.mark.parametrize("seconds", [60, 3600, 1])
def test_counter_with_changed_window_starts_again(seconds):
    now = 28_000_000 * 60_000
    full = Slots(now // 600_000, hits=6, before=6)

    after, window = count_one(full, Rate(6, seconds), now)

    assert window.allowed
    assert after == Slots(now // (seconds * 1000), hits=1)


def test_slightly_slow_clock_starts_no_second_window():
    rate, now = Rate(6, 60), 28_000_000 * 60_000

    _, window = count_one(Slots(number=28_000_000, hits=6), rate, now - 5)

    assert not window.allowed


@given(limit=st.integers(1, 12), seconds=st.integers(1, 5), steps=STEPS)
def test_neighbouring_slots_never_exceed_limit(limit, seconds, steps):
    clock = Clock()
    memory, let = MemoryCounters(clock), []

    for wait, cost in steps:
        clock.now += wait
        if memory.take([Count("k", Rate(limit, seconds), cost)])[0].allowed:
            let += [clock.now // (seconds * 1000)] * cost

    assert all(let.count(slot) <= limit for slot in let)


@given(limit=st.integers(1, 12), seconds=st.integers(1, 5), steps=STEPS, cost=st.integers(1, 3))
def test_waiting_until_reset_allows_the_next_hit(limit, seconds, steps, cost):
    clock = Clock()
    memory, rate = MemoryCounters(clock), Rate(limit, seconds)
    for wait, taken in steps:
        clock.now += wait
        memory.take([Count("k", rate, taken)])

    [window] = memory.take([Count("k", rate, cost)])
    clock.now += window.reset * 1000

    assert window.allowed or cost > limit or memory.take([Count("k", rate, cost)])[0].allowed


def test_take_with_zero_cost_consumes_nothing():
    clock = Clock()
    memory, rate = MemoryCounters(clock), Rate(2, 10)
    memory.take([Count("k", rate, 2)])

    requested = [memory.take([Count("k", rate, 0)])[0] for _ in range(3)]
    clock.now += requested[0].reset * 1000

    assert {(window.allowed, window.remaining) for window in requested} == {(True, 0)}
    assert memory.take([Count("k", rate)])[0].allowed


@pytest.fixture
def on_redis(redis_url):
    """Counters on a Redis whose clock the test sets."""
    script = counters._TAKE.replace("redis.call('TIME')", "redis.call('HMGET', 'now', 's', 'us')")
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        shared = RedisCounters(client, prefix="test:", script=script)
        shared.set_clock = lambda ms: client.hset(
            "now", mapping={"s": ms // 1000, "us": ms % 1000 * 1000}
        )
        yield shared


def test_redis_and_memory_counters_agree(on_redis):
    @settings(max_examples=60, deadline=None)
    @given(limit=st.integers(1, 12), seconds=st.integers(1, 5), steps=STEPS)
    def agree(limit, seconds, steps):
        clock, key = Clock(), f"agree{next(_names)}"
        memory = MemoryCounters(clock)
        for wait, cost in steps:
            clock.now += wait
            on_redis.set_clock(clock.now)
            counts = [Count(key, Rate(limit, seconds), cost)]
            assert on_redis.take(counts) == memory.take(counts)

    agree()


@pytest.fixture(params=["memory", "redis"])
def backend(request, redis_url):
    if request.param == "memory":
        yield MemoryCounters()
        return
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield RedisCounters(client, prefix=f"test{next(_names)}:")


HOUR = 3600


def test_hit_rejected_by_one_counter_consumes_none(backend):
    narrow, wide = Count("narrow", Rate(1, HOUR)), Count("wide", Rate(9, HOUR))
    backend.take([narrow])

    both = backend.take([wide, narrow])

    assert [window.allowed for window in both] == [True, False]
    assert backend.take([wide])[0].remaining == 8


def test_refunded_attempt_can_be_taken_again(backend):
    once = Count("k", Rate(1, HOUR))
    backend.take([once])
    assert not backend.take([once])[0].allowed

    backend.take(refund_of([once]))

    assert backend.take([once])[0].allowed


def test_refund_after_its_window_cancels_no_later_hit():
    clock, once = Clock(), Count("k", Rate(4, 10))
    memory = MemoryCounters(clock)
    taken = replace(once, slot=memory.take([once])[0].slot)
    clock.now += 10_000
    memory.take([replace(once, cost=2)])

    memory.take(refund_of([taken]))

    clock.now += 9_999  # the refunded hit has faded, the two later ones count
    assert [memory.take([once])[0].allowed for _ in range(3)] == [True, True, False]


def test_refund_names_its_slot_on_every_counter(backend):
    once = Count("k", Rate(1, HOUR))
    slot = backend.take([once])[0].slot

    backend.take(refund_of([replace(once, slot=slot - 2)]))
    rejected = backend.take([once])[0].allowed
    backend.take(refund_of([replace(once, slot=slot)]))

    assert (rejected, backend.take([once])[0].allowed) == (False, True)


def test_excess_refund_adds_no_allowance(backend):
    once = Count("k", Rate(1, HOUR))
    for _ in range(5):
        backend.take(refund_of([once]))

    assert [backend.take([once])[0].allowed for _ in range(2)] == [True, False]


def test_full_counter_can_be_refunded_after_limit_shrank(backend):
    backend.take([Count("k", Rate(9, HOUR), 9)])

    backend.take(refund_of([Count("k", Rate(2, HOUR), 8)]))

    assert backend.take([Count("k", Rate(2, HOUR))])[0].allowed


def test_parallel_hits_never_exceed_the_limit(backend, count):
    """A counter that checks before it counts would allow all of them."""
    let, start = [], threading.Barrier(20)

    def hit():
        start.wait()
        for _ in range(count(5, many=50)):
            let.extend(one.allowed for one in backend.take([Count("k", Rate(30, HOUR))]))

    threads = [threading.Thread(target=hit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(let) == 30


def test_key_flood_evicts_unused_counters_first():
    clock = Clock()
    memory = MemoryCounters(clock, most=100)
    ours = Count("ours", Rate(1, HOUR))
    memory.take([ours])

    for n in range(1000):
        memory.take([Count(f"flood{n}", Rate(1, HOUR))])
        assert not memory.take([ours])[0].allowed

    assert len(memory._slots) <= 100


def test_expired_counters_are_dropped_first():
    clock = Clock()
    memory = MemoryCounters(clock, most=100)
    ours = Count("ours", Rate(1, HOUR))
    memory.take([ours])
    for n in range(90):
        memory.take([Count(f"short{n}", Rate(1, 1))])

    clock.now += 5_000
    for n in range(60):
        memory.take([Count(f"new{n}", Rate(1, HOUR))])

    assert not memory.take([ours])[0].allowed


def test_without_reachable_redis_each_worker_gets_its_share():
    away = FallbackLimiter("redis://127.0.0.1:1/0", workers=4)
    rate = Rate(20, HOUR)

    let = [away.take([Count("k", rate)])[0].allowed for _ in range(20)]

    assert sum(let) == 5
    assert away.take([Count("rare", Rate(1, HOUR))])[0].allowed


def test_without_redis_setting_one_process_gets_full_limit():
    alone = FallbackLimiter(None, workers=4)

    let = [alone.take([Count("k", Rate(20, HOUR))])[0].allowed for _ in range(21)]

    assert let == [True] * 20 + [False]
