"""Kill a client at a given request, before or after the server receives it."""

import pytest


class Killed(BaseException):
    """Simulates a kill; the client must not catch it."""


class KillAt:
    """Kills at the request with this number; without a number it only counts."""

    def __init__(self, server, number=None, *, done=False):
        self.count = 0
        self._server = server
        self._number, self._done = number, done

    def __enter__(self):
        self._server.before = self._before
        self._server.tamper = self._after
        return self

    def __exit__(self, *error):
        self._server.before = self._server.tamper = None

    def _before(self, method, path):
        self.count += 1
        if self.count == self._number and not self._done:
            raise Killed

    def _after(self, method, path, status, body):
        if self.count == self._number and self._done:
            raise Killed
        return status, body


def requests_of(world, act):
    """Count the requests of ``act(world)``; the caller undoes its effects."""
    with KillAt(world.server) as counted:
        act(world)
    return counted.count


def killed(world, act, number, *, done):
    """Run ``act`` and kill it at a request."""
    with KillAt(world.server, number, done=done), pytest.raises(Killed):
        act(world)
    world.laptop.device.drop()


def killed_at(world, act, method, ending):
    """Run ``act`` and kill it after the first response for such a path."""

    def after(requested, path, status, body):
        if requested == method and path.endswith(ending):
            raise Killed
        return status, body

    world.server.tamper = after
    with pytest.raises(Killed):
        act(world)
    world.server.tamper = None
    world.laptop.device.drop()
