"""A client that crashes at a chosen step: before or after a request, or around a file write."""

import pytest

from vaultr.client.storage import private_folder as folder_module

# The real functions, even if a test replaces them.
_STEPS = {name: getattr(folder_module, name) for name in ("write_new", "sync_folder")}


class Killed(BaseException):
    """Simulates SIGKILL: none of our handlers may catch it."""


class CrashAt:
    """Kills at the ``at``-th step of the block."""

    def __init__(self, server, at):
        self._patch = pytest.MonkeyPatch()
        self._server = server
        self._at = at
        self.steps = 0
        self.crashed = False

    def __enter__(self):
        handle = self._server.handle

        def answered(request):
            self._step()
            answer = handle(request)
            self._step()
            return answer

        self._patch.setattr(self._server, "handle", answered)
        for name, real in _STEPS.items():
            self._patch.setattr(folder_module, name, self._counted(real))
        return self

    def __exit__(self, kind, error, trace):
        self._patch.undo()
        self.crashed = kind is not None and issubclass(kind, Killed)
        return self.crashed

    def _counted(self, real):
        def call(*arguments):
            self._step()
            return real(*arguments)

        return call

    def _step(self):
        self.steps += 1
        if self.steps == self._at:
            raise Killed
