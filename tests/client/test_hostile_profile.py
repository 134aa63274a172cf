"""The SDK with a server that forks a vault: the profile that shows it is never overwritten."""

import copy
from uuid import uuid4

import pytest

from tests.harness.client.server_attacks import titles
from tests.harness.client.world import PASSWORD, mail
from vaultr.client.errors import AnswerInvalid, ChainBroken, PreconditionFailed, RolledBack


def fork(world):
    """Show the laptop the vault before the phone's write, which the profile knows."""
    world.laptop.add("login", *mail())
    laptop = world.again()
    before = copy.deepcopy(world.server.vaults)
    with world.second() as phone:
        phone.add("login", *mail("Bank"))
    world.server.vaults = before
    return laptop


@pytest.mark.parametrize("written", [1, 2])
def test_write_only_device_does_not_store_fork_in_profile(world, written):
    laptop = fork(world)
    stored = copy.deepcopy(world.server.account["profile"])
    for n in range(written):
        laptop.add("login", *mail(str(n)))

    with pytest.raises(ChainBroken, match=r"(devices?|saw) revision 2 \([0-9a-f]{12}\)"):
        laptop.close()

    assert world.server.account["profile"] == stored


def test_reported_fork_is_reported_again(world):
    laptop = fork(world)
    for n in range(2):
        laptop.add("login", *mail(str(n)))
    for _ in range(2):
        with pytest.raises(ChainBroken), laptop:
            laptop.sync()
        laptop = world.device("laptop")
        laptop.device.unlocked = world.kept.on(laptop)

    assert titles(laptop) == ["0", "1", "Mail"], "the cached items stay readable"


def test_honest_writes_of_other_devices_are_merged(world):
    world.laptop.add("login", *mail())
    laptop = world.again()
    with world.second() as phone:
        phone.add("login", *mail("Bank"))
    laptop.add("login", *mail("Cloud"))
    laptop.add("login", *mail("Door"))

    laptop.close()

    held = world.again().device.unlocked.account.profile
    (vault,) = world.server.vaults.values()
    assert [known.n for known in held.vaults.values()] == [vault["revision"]] == [4]


def test_writes_over_known_profile_head_send_no_extra_requests(world):
    world.laptop.add("login", *mail())
    world.laptop.close()
    laptop = world.device("laptop")
    laptop.unlock(PASSWORD)
    before = len(world.server.requests)

    laptop.add("login", *mail("Bank"))
    laptop.add("login", *mail("Cloud"))
    laptop.close()

    requested = [method for method, _, _ in world.server.requests[before:]]
    assert requested == ["PUT", "PUT", "PUT"]


def test_profile_seen_by_another_command_is_not_rolled_back(world):
    world.laptop.sync()
    old = copy.deepcopy(world.server.account["profile"])
    other = world.device("laptop")
    other.device.unlocked = world.kept.on(other)
    held = other.device.unlocked.account
    held.write_profile(held.profile.with_deleted(uuid4()), lambda: None)
    newest = copy.deepcopy(world.server.account["profile"])
    world.server.account["profile"] = old

    with pytest.raises(RolledBack, match="profile"):
        world.laptop.sync()

    world.server.account["profile"] = newest
    assert len(world.laptop.sync()) == 1


def test_profile_is_not_written_over_older_one(world):
    world.laptop.sync()
    old = copy.deepcopy(world.server.account["profile"])
    other = world.device("laptop")
    other.device.unlocked = world.kept.on(other)
    held = other.device.unlocked.account
    held.write_profile(held.profile.with_deleted(uuid4()), lambda: None)
    newest = held.profile.revision
    world.server.account["profile"] = old
    world.laptop.add("login", *mail())

    with pytest.raises(RolledBack, match="profile"):
        world.laptop.close()

    assert world.laptop.device.store.account().key_set.profile.revision == newest


def test_fork_shown_only_by_the_profile_is_explained(world):
    laptop = fork(world)
    with pytest.raises(RolledBack):
        laptop.sync()

    (difference,) = laptop.explain()

    assert "2" in difference.how
    assert not difference.continues


def test_new_entries_are_explained_as_new(world):
    world.laptop.add("login", *mail())
    with world.second() as phone:
        added = phone.add("login", *mail("Bank"))

    found = world.laptop.explain()

    assert {each.item_id for each in found} == {None, added.id}
    assert all(each.continues for each in found)
    assert titles(world.laptop) == ["Mail"]


def test_history_contradicting_profile_blocks_writes(world):
    laptop = fork(world)
    with pytest.raises(RolledBack):
        laptop.sync()
    before = copy.deepcopy(world.server.vaults)

    with pytest.raises(RolledBack):
        laptop.add("login", *mail("Cloud"))

    assert world.server.vaults == before


def rejecting(world, body=None):
    """Reject each write of the profile; run ``body`` before each error."""
    original = world.server._answer

    def reject(request, path, query):
        if (request.method, path) == ("PUT", "/auth/profile"):
            if body is not None:
                body()
            problem = {"type": "urn:vaultr:problem:precondition-failed", "status": 412}
            return 412, problem, None
        return original(request, path, query)

    world.server._answer = reject


def test_profile_conflict_without_newer_profile_fails_verification(world):
    world.laptop.add("login", *mail())
    rejecting(world)

    with pytest.raises(AnswerInvalid, match="rejected a profile"):
        world.laptop.close()


def test_endless_profile_conflicts_fail_the_command(world):
    other = world.second()
    world.laptop.add("login", *mail())
    held = other.device.unlocked.account

    def write_first():
        """Make another device write a newer profile, so that the error is correct."""
        reject = world.server._answer
        del world.server._answer
        held.write_profile(held.profile.with_deleted(uuid4()), lambda: None)
        world.server._answer = reject

    rejecting(world, write_first)

    with pytest.raises(PreconditionFailed):
        world.laptop.close()
    assert len(world.sent("PUT", "/auth/profile")) > 5
