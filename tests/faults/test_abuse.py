"""An anonymous client and an account abuse the server; other users notice nothing.

The pod has the chart's size: two workers with four threads and a hard limit of 512 MiB (by a
cgroup, if possible; the processes' memory is always measured), Redis with 32 MB and without
eviction, PostgreSQL with 30 connections. docs/performance.md has the figures.
"""

import pytest

from tests.harness import hostile_requests, pod_memory
from tests.harness.abuse import (
    ACCOUNT,
    HOSTILE_MIB,
    MALLORY,
    abusive_account,
    check_abuse,
    started_pod,
)
from tests.harness.abusers import Abuser, Plan
from vaultr.protocol.sizes import BODY_BYTES


@pytest.fixture
def pod(tmp_path, time_limit):
    with started_pod(tmp_path, alone=time_limit(1) == 1) as pod:
        yield pod


@pytest.fixture
def mallory(pod):
    return abusive_account(pod)


@pytest.mark.parametrize(
    ("quiet", "seconds"), [(4, 8), pytest.param(30, 120, marks=pytest.mark.long)]
)
def test_abusive_client_and_account_do_not_affect_other_users(
    pod, mallory, quiet, seconds, time_limit, tmp_path
):
    check_abuse(pod, mallory, quiet, seconds, tmp_path, alone=time_limit(1) == 1)


@pytest.mark.long
def test_sixteen_hostile_requests_take_bounded_memory(pod, mallory):
    owned, _, sessions, stale = mallory
    found = hostile_requests.of_account(pod.app, owned, sessions[0], stale, MALLORY)
    costly = [one for one in found if one.padding > BODY_BYTES or "limit=" in one.path]
    tokens = [one.access_token for one in sessions]

    peaks = {}
    for one in costly:
        plan = Plan(pod.server.port, ACCOUNT, 0, [one], 16, tokens)
        memory = pod_memory.Memory(pod.server.process.pid, every=0.02)
        with Abuser(plan) as abuser, memory:
            abuser.start()
            abuser.seen()
        peaks[one.path] = memory.peak_mib

    assert {path: peak for path, peak in peaks.items() if peak > HOSTILE_MIB} == {}
    assert pod.running() == pod.processes
