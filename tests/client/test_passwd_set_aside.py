"""A new account key while items of a restored server are set aside and not yet written again."""

import pytest

from tests.harness.client.interleaved_commands import NEW, check_account_intact, unlocked
from tests.harness.client.kill_points import Killed
from tests.harness.client.restored_fake import backup, restore
from tests.harness.client.world import PASSWORD, mail
from vaultr.client.account.password_change import AcceptanceBegun


def lose_a_vault(device):
    device.create_vault("Work")
    device.add("login", *mail("Bank"), vault="Work")


def lose_keys(device):
    device.rotate(restart=True)
    device.add("login", *mail("Bank"))


@pytest.fixture(params=[lose_a_vault, lose_keys])
def interrupted(request, worlds):
    """An owner whose acceptance was killed before anything was written again."""
    world = worlds()
    world.laptop.add("login", *mail())
    world.laptop.close()
    stored = backup(world)
    with unlocked(world, "laptop", PASSWORD) as laptop:
        request.param(laptop)
    restore(world, stored)

    def killed(method, path):
        if method in ("POST", "PUT") and "/vaults" in path:
            raise Killed

    laptop = unlocked(world, "laptop", PASSWORD)
    laptop.explain()
    world.server.before = killed
    with pytest.raises(Killed):
        laptop.accept()
    world.server.before = None
    return world


def test_new_key_waits_for_lost_writes_to_be_replayed(interrupted):
    world = interrupted
    requested = len(world.sent("PUT", "/auth/credentials"))
    laptop = unlocked(world, "laptop", PASSWORD)

    with pytest.raises(AcceptanceBegun) as rejected:
        laptop.change_password(PASSWORD, NEW, new_key=True)
    assert "vaultr sync --accept" in rejected.value.advice
    assert len(world.sent("PUT", "/auth/credentials")) == requested

    laptop.accept_on()
    laptop.change_password(PASSWORD, NEW, new_key=True)
    laptop.close()
    check_account_intact(world, NEW, wrong=[PASSWORD], items=["Mail", "Bank"])


def test_password_alone_can_change_before_replay_of_lost_writes(interrupted):
    laptop = unlocked(interrupted, "laptop", PASSWORD)

    laptop.change_password(PASSWORD, NEW, new_key=False)
    laptop.accept_on()
    laptop.close()

    check_account_intact(interrupted, NEW, wrong=[PASSWORD], items=["Mail", "Bank"])
