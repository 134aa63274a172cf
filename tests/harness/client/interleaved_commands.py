"""Interleave two commands: the second one starts at a chosen step of the first."""

import hashlib
import threading

import pytest
from argon2 import low_level

from tests.harness.client.server_attacks import titles
from tests.harness.client.world import EMAIL
from vaultr.client.account.credentials import WrongPassword
from vaultr.client.errors import CredentialsInvalid, VaultrError

NEW = "another master password"
THIRD = "a third master password"
STEPS_MOST = 200


def quick(password, salt, kdf, length=32):
    """Derive with Argon2id at its lowest cost; the requested cost becomes part of the salt."""
    cheap_salt = hashlib.sha256(salt + repr(kdf).encode()).digest()
    return low_level.hash_secret_raw(
        password,
        cheap_salt,
        time_cost=1,
        memory_cost=8,
        parallelism=1,
        hash_len=length,
        type=low_level.Type.ID,
    )


class InterleavedCommand:
    """At the ``at``-th step of the requests, start another command, and give it ``seconds``.

    When the first command continues, the other one has ended or waits for the folder's lock. Each
    request has a step before and one after it, counted from :meth:`count` on; ``began`` says
    whether the step was reached. Create this before the devices whose requests it counts.
    """

    def __init__(self, server, at, command, *, seconds=0.5):
        self.failure = None
        self.answer = None
        self.began = False
        self._at, self._command = at, command
        self._steps = None
        self._seconds = seconds
        self._thread = threading.Thread(target=self._run)
        self._first = threading.current_thread()
        self._handle = server.handle
        server.handle = self._crossed

    def _crossed(self, request):
        self._step()
        answer = self._handle(request)
        self._step()
        return answer

    def count(self):
        """Count the steps of the first command, which begins now."""
        self._steps = 0

    def _step(self):
        if self._steps is None or threading.current_thread() is not self._first:
            return
        self._steps += 1
        if self._steps == self._at:
            self.begin()

    def begin(self):
        """Start the other command now."""
        self.began = True
        self._thread.start()
        self._thread.join(self._seconds)

    def _run(self):
        try:
            self.answer = self._command()
        except VaultrError as error:
            self.failure = error

    def end(self):
        """Wait for the other command; return its error, or None."""
        assert self.began
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.failure


def interleaved_at_steps(worlds, first, second, check, *, apart, seconds=0.1):
    """Start ``second`` at every ``apart``-th step of ``first``, each time in a new world.

    ``first(world)`` returns the first command, ready to be called; ``second(world)`` runs the
    other. ``check(world, one, other)`` gets the result or the error of each.
    """
    for at in range(1, STEPS_MOST, apart):
        world = worlds()
        crossing = InterleavedCommand(
            world.server, at, lambda world=world: second(world), seconds=seconds
        )
        command = first(world)
        crossing.count()
        try:
            one = command()
        except VaultrError as error:
            one = error
        if not crossing.began:
            assert at > 1
            return
        failure = crossing.end()
        check(world, one, crossing.answer if failure is None else failure)
    raise AssertionError("it never ends")


def unlocked(world, name, password):
    device = world.device(name)
    device.unlock(password)
    return device


def opens(world, name, password):
    """Return whether a password opens both a device and the account from there, or neither."""
    try:
        unlocked(world, name, password)
    except WrongPassword:
        with pytest.raises(CredentialsInvalid):
            world.device(name).login(EMAIL, password)
        return False
    world.device(name).login(EMAIL, password)
    return True


def check_account_intact(
    world, password, *, wrong, secret_key=None, items=("Mail",), name="laptop"
):
    """Check that only ``password`` opens device and account, and that all items exist.

    A new device also finds them, and the first device's next write.
    """
    assert opens(world, name, password)
    for each in wrong:
        assert not opens(world, name, each)
    device = unlocked(world, name, password)
    device.sync()
    assert titles(device) == sorted(items)
    device.add("login", {"title": "Last"}, {"password": "last"})
    device.close()
    fresh = world.device("fresh")
    fresh.login(EMAIL, password, secret_key=secret_key or world.signup.secret_key)
    fresh.sync()
    assert titles(fresh) == sorted([*items, "Last"])
