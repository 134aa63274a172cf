"""A client crashes during a password change: exactly one of old and new password opens."""

import contextlib
import itertools
import json
import random

import httpx2
import pytest

from tests.harness.client.crash_points import CrashAt, Killed
from tests.harness.client.fake_vaults import ServiceError
from tests.harness.client.server_attacks import titles
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr.client.account.credentials import WrongPassword
from vaultr.client.errors import (
    CredentialsInvalid,
    ServerUnreachable,
    SessionEnded,
    VaultrError,
)

pytestmark = pytest.mark.usefixtures("cached_derivations")

NEW = "another master password"


def opening(world, name):
    """Return the passwords that open a device, by trying both."""
    found = []
    for password in (PASSWORD, NEW):
        device = world.device(name)
        try:
            device.unlock(password)
        except WrongPassword:
            continue
        found.append(password)
        device.close()
    return found


def check_device_works(world, name, password):
    """Check that the device works: it reads, writes, and logs in again."""
    device = world.device(name)
    device.unlock(password)
    assert titles(device) == ["Mail"]
    assert device.item("Mail", offline=True).detail == {"password": "hunter2"}
    try:
        device.sync()
    except SessionEnded:  # the session's tokens were not sealed under the new password yet
        device.login(EMAIL, password)
        device.sync()
    device.edit("Mail", detail={"password": "newer"})
    device.close()
    again = world.device(name)
    again.login(EMAIL, password)
    assert again.item("Mail").detail == {"password": "newer"}
    other = PASSWORD if password == NEW else NEW
    with pytest.raises((WrongPassword, CredentialsInvalid)):
        world.device(name).login(EMAIL, other)


def begun(first_world, folder):
    world = first_world.copied(folder)
    world.laptop.add("login", *mail())
    world.laptop.close()
    return world


def crash_during_passwd(world, at, *, new_key):
    """Change the password, and crash at a step; return whether the step was reached."""
    with CrashAt(world.server, at) as crash:
        world.device("laptop").change_password(PASSWORD, NEW, new_key=new_key)
    return crash.crashed


@pytest.mark.parametrize("new_key", [False, True])
@pytest.mark.parametrize("first", [PASSWORD, NEW])
def test_after_kill_at_any_step_exactly_one_password_opens(
    first_world, tmp_path, new_key, first, count
):
    """``first`` is the password that is typed first afterwards."""
    seen, crashed = set(), True
    for at in itertools.count(1 if first == NEW else 4, count(8, many=1)):
        world = begun(first_world, tmp_path / str(at))
        crashed = crash_during_passwd(world, at, new_key=new_key)
        with contextlib.suppress(WrongPassword), world.device("laptop") as device:
            device.unlock(first)
        (password,) = opening(world, "laptop")
        seen.add(password)
        check_device_works(world, "laptop", password)
        if not crashed:
            break

    assert seen == {PASSWORD, NEW}
    assert at > 20, "each request, response and write was a crash point"


def test_killed_outcome_checks_change_nothing(first_world, tmp_path, count):
    chance = random.Random(7)
    for number in range(count(3, many=60)):
        world = begun(first_world, tmp_path / str(number))
        crash_during_passwd(world, chance.randrange(1, 45), new_key=chance.random() < 0.5)
        for _ in range(2):
            device = world.device("laptop")
            with CrashAt(world.server, chance.randrange(1, 12)), contextlib.suppress(VaultrError):
                device.unlock(chance.choice((PASSWORD, NEW)))
                device.sync()

        (password,) = opening(world, "laptop")

        check_device_works(world, "laptop", password)


def test_unstored_change_is_invalidated_before_it_is_deleted(first_world, tmp_path):
    """The request may still be in transit after its client has crashed."""
    world = begun(first_world, tmp_path / "late")
    sent = []

    def hold_back(method, path):
        if (method, path) == ("PUT", "/auth/credentials"):
            sent.append(world.server.requests[-1][2])
            raise Killed

    world.server.before = hold_back
    with contextlib.suppress(Killed):
        world.device("laptop").change_password(PASSWORD, NEW, new_key=False)
    world.server.before = None
    with world.device("laptop") as device:
        device.unlock(PASSWORD)

    with pytest.raises(ServiceError) as late:
        world.server._replace(json.loads(sent[0]))

    assert late.value.slug == "precondition-failed"
    check_device_works(world, "laptop", PASSWORD)


@pytest.mark.parametrize("new_key", [False, True])
def test_change_arriving_during_outcome_check_raises_no_integrity_error(
    first_world, tmp_path, new_key
):
    seen = set()
    for arrival in itertools.count(1):
        world = begun(first_world, tmp_path / str(arrival))
        server, sent, numbers = world.server, [], itertools.count(1)

        def hold_back(method, path, server=server, sent=sent):
            if (method, path) == ("PUT", "/auth/credentials"):
                sent.append(server.requests[-1][2])
                raise Killed

        def arrive(method, path, server=server, sent=sent, numbers=numbers, arrival=arrival):
            if next(numbers) == arrival:
                with contextlib.suppress(ServiceError):
                    server._replace(json.loads(sent[0]))

        server.before = hold_back
        with contextlib.suppress(Killed):
            world.device("laptop").change_password(PASSWORD, NEW, new_key=new_key)
        server.before = arrive
        ended = contextlib.suppress(WrongPassword, CredentialsInvalid, SessionEnded)
        with world.device("laptop") as device, ended:
            device.login(EMAIL, PASSWORD)
        server.before = None

        (password,) = opening(world, "laptop")
        seen.add(password)
        check_device_works(world, "laptop", password)
        if next(numbers) <= arrival:
            break

    assert seen == {PASSWORD, NEW}


def test_server_outage_opens_old_password_and_reports_pending_change(first_world, tmp_path):
    world = begun(first_world, tmp_path / "away")
    crash_during_passwd(world, 14, new_key=False)
    assert world.sent("PUT", "/auth/credentials")

    def away(method, path):
        raise httpx2.ConnectError("away")

    world.server.before = away
    device = world.device("laptop")
    device.unlock(PASSWORD)
    assert titles(device) == ["Mail"]
    assert any("not known yet" in notice for notice in device.notices)
    with pytest.raises(ServerUnreachable):
        world.device("laptop").unlock(NEW)

    world.server.before = None
    assert opening(world, "laptop") == [NEW]


@pytest.mark.parametrize("new_key", [False, True])
def test_second_device_killed_during_changed_login_opens_with_one_password(
    first_world, tmp_path, new_key, count
):
    seen, crashed = set(), True
    for at in itertools.count(1, count(4, many=1)):
        world = begun(first_world, tmp_path / str(at))
        with world.second() as phone:
            phone.sync()
        world.device("laptop").change_password(PASSWORD, NEW, new_key=new_key)
        with CrashAt(world.server, at) as crash:
            world.device("phone").login(EMAIL, NEW, changed=True)
        (password,) = opening(world, "phone")
        seen.add(password)
        device = world.device("phone")
        device.unlock(password)
        assert device.item("Mail", offline=True).detail == {"password": "hunter2"}
        crashed = crash.crashed
        if not crashed:
            break
        device.login(EMAIL, NEW, changed=True)
        device.sync()

    assert seen == {PASSWORD, NEW}
    assert at > 10
