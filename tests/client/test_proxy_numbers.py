"""`vaultr` and a server whose responses have huge numbers: memory follows the bytes received."""

import copy
import json
import re
import tracemalloc

import pytest

from tests.client.world import EMAIL

HUGE = 2**53 - 1
MEMORY_BYTES = 48 * 1024 * 1024
COMMANDS = {
    "sync": ("sync",),
    "login": ("login", "--email", EMAIL),
    "add": ("add", "login", "--json"),
    "trash": ("rm", "Mail"),
    "history": ("history", "Mail"),
    "vaults": ("vaults", "add", "Work"),
    "rotate": ("rotate",),
    "explain": ("sync", "--explain"),
    "edit": ("edit", "Mail", "--json"),
    "passwd": ("passwd", "--others-know"),
    "recovery key": ("recovery-key", "create"),
    "status": ("status",),
}
ITEM = json.dumps({"overview": {"title": "New"}, "detail": {"password": "new"}})
STDIN = {"add": ITEM, "edit": ITEM}
NEW_PASSWORD = {"passwd": {"--new-password-fd": "another master password"}}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def numbers_in(body, path=()):
    """Yield the path of each number in a response; items of a list count as one."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield from numbers_in(value, (*path, name))
    elif isinstance(body, list):
        for value in body:
            yield from numbers_in(value, (*path, "*"))
    elif isinstance(body, int) and not isinstance(body, bool):
        yield path


def replaced(body, path, value):
    """Put ``value`` in the place of every number at ``path``."""
    if not path:
        return value
    name, *rest = path
    if name == "*":
        return [replaced(each, rest, value) if isinstance(body, list) else each for each in body]
    if not isinstance(body, dict) or name not in body:
        return body
    return body | {name: replaced(body[name], rest, value)}


def route(method, path):
    return method, ID.sub("ID", path)


def ran(proxy, command):
    """Run a command; return its result and the peak of memory meanwhile."""
    tracemalloc.start()
    try:
        also = NEW_PASSWORD.get(command, ())
        result = proxy.types(*COMMANDS[command], also=also, stdin=STDIN.get(command, ""))
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def places(proxy, command):
    """Return each number in each response that a command gets, in order."""
    seen = {}

    def tamper(method, path, status, body):
        for place in numbers_in(body):
            seen.setdefault((*route(method, path), place))
        return status, body

    proxy.restore()
    with proxy.opened() as laptop:  # a longer log, so that each list has several numbers
        laptop.edit("Mail", detail={"password": "second"})
    proxy.server.tamper = tamper
    result, _ = ran(proxy, command)
    assert result.code == 0, result.err
    return list(seen)


@pytest.mark.parametrize(
    "command",
    [pytest.param(each, marks=pytest.mark.long) if each == "passwd" else each for each in COMMANDS],
)
def test_huge_number_in_a_response_costs_no_memory(proxy, command, count):
    found = places(proxy, command)
    step = max(1, len(found) // count(3, many=1000))

    for method, ending, place in found[::step]:
        proxy.restore()

        def tamper(asked, path, status, body, at=(method, ending), place=place):
            if route(asked, path) == at and body is not None:
                return status, replaced(copy.deepcopy(body), place, HUGE)
            return status, body

        proxy.server.tamper = tamper
        result, peak = ran(proxy, command)

        assert result.code in (0, 1, 4, 5), (method, ending, place, result.err)
        assert "Traceback" not in result.err
        assert peak < MEMORY_BYTES, (method, ending, place, peak)


@pytest.mark.parametrize("command", ["sync", "login"])
@pytest.mark.parametrize("value", [10_000_000, HUGE])
def test_response_of_nothing_but_huge_numbers_costs_no_memory(proxy, command, value):
    def tamper(method, path, status, body):
        for place in {*numbers_in(body)} if status < 300 else ():
            body = replaced(copy.deepcopy(body), place, value)
        return status, body

    proxy.server.tamper = tamper

    result, peak = ran(proxy, command)

    assert result.code == 5, result.err
    assert peak < MEMORY_BYTES


@pytest.mark.parametrize("through", [10_000_000, HUGE])
def test_huge_through_is_an_integrity_error(proxy, through):
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
