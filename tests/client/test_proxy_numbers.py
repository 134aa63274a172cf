"""`vaultr` and a server whose responses have huge numbers: memory follows the bytes received."""

import contextlib
import copy
import re
import tracemalloc

import pytest

from tests.harness.client import typed_commands
from tests.harness.client.huge_numbers import HUGE, MEMORY_BYTES, numbers_in, replaced
from tests.harness.client.tampering_proxy import Proxy
from tests.harness.client.typed_commands import COMMANDS

# Includes each command whose memory depends on a list from the server, and one with each kind of
# keys.
FEW = ("sync", "passwd others know", "recover", "first login", "machine read")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@pytest.fixture(scope="module")
def filled_proxy(derived_at_once, tmp_path_factory):
    with contextlib.closing(Proxy(tmp_path_factory.mktemp("numbers"))) as proxy:
        typed_commands.fill(proxy)
        yield proxy


@pytest.fixture
def full(filled_proxy):
    """An owner with vaults, versions, a machine, and a recovery that can be completed."""
    filled_proxy.restore()
    return filled_proxy


def route(method, path):
    return method, ID.sub("ID", path)


def ran(proxy, command):
    """Run a command; return its result and its peak memory."""
    tracemalloc.start()
    try:
        result = COMMANDS[command].run(proxy)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def places(proxy, command):
    """Return each number in each response to a command, in order."""
    seen = {}

    def tamper(method, path, status, body):
        for place in numbers_in(body):
            seen.setdefault((*route(method, path), place))
        return status, body

    proxy.server.tamper = tamper
    result, _ = ran(proxy, command)
    assert result.code == 0, result.err
    return list(seen)


def check_huge(proxy, command, step):
    """Run a command for every ``step``-th of its numbers, replaced by a huge one."""
    for method, ending, place in places(proxy, command)[::step]:
        proxy.restore()

        def tamper(requested, path, status, body, at=(method, ending), place=place):
            if route(requested, path) == at and body is not None:
                return status, replaced(copy.deepcopy(body), place, HUGE)
            return status, body

        proxy.server.tamper = tamper
        result, peak = ran(proxy, command)

        assert result.code in (0, 1, 3, 4, 5), (method, ending, place, result.err)
        assert "Traceback" not in result.err
        assert peak < MEMORY_BYTES, (method, ending, place, peak)


@pytest.mark.parametrize("command", FEW)
def test_some_huge_numbers_in_responses_cost_no_memory(full, command, count):
    check_huge(full, command, step=count(12, many=1))


@pytest.mark.long
@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {*FEW}))
def test_huge_number_in_a_response_costs_no_memory(full, command):
    check_huge(full, command, step=1)


@pytest.mark.parametrize("command", ["sync", "login"])
@pytest.mark.parametrize("value", [10_000_000, HUGE])
def test_response_of_nothing_but_huge_numbers_costs_no_memory(full, command, value):
    def tamper(method, path, status, body):
        for place in {*numbers_in(body)} if status < 300 else ():
            body = replaced(copy.deepcopy(body), place, value)
        return status, body

    full.server.tamper = tamper

    result, peak = ran(full, command)

    assert result.code == 5, result.err
    assert peak < MEMORY_BYTES


@pytest.mark.parametrize("through", [10_000_000, HUGE])
def test_huge_through_is_an_integrity_error(full, through):
    proxy = full
    with proxy.opened("phone") as phone:
        phone.add("login", {"title": "New"}, {"password": "new"})

    def tamper(body):
        body["vault"]["revision"] = body["revision"] = body["through"] = through
        return body

    proxy.change("GET", "/sync", tamper)

    result, peak = ran(proxy, "sync")

    assert result.code == 5
    assert "its log has a gap" in result.err
    assert "Use --offline to read it" in result.err
    assert peak < MEMORY_BYTES
