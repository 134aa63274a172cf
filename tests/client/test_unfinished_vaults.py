"""A vault whose creation was interrupted here, while another device found it."""

import pytest

from tests.harness.client.kill_points import killed_at
from tests.harness.client.restored_fake import rewound, secrets_of
from tests.harness.client.server_attacks import titles
from tests.harness.client.world import mail
from vaultr.client.errors import IntegrityError, VaultrError


@pytest.fixture
def half_created(world):
    """An owner whose laptop was killed after the server had created a vault."""
    killed_at(world, lambda one: one.laptop.create_vault("Work"), "POST", "/vaults")
    rewound(world)
    return world


def names(device):
    return sorted(each.name for each in device.vaults())


def test_concurrently_rotated_vault_is_completed(half_created):
    phone = half_created.second_by_key()
    phone.add("login", *mail(), vault="Work")
    phone.rotate("Work")
    phone.close()

    assert names(half_created.laptop) == ["Personal", "Work"]
    assert secrets_of(half_created.laptop) == {"Mail": "hunter2"}


def test_concurrently_deleted_vault_is_not_created_again(half_created):
    phone = half_created.second_by_key()
    phone.sync()
    phone.delete_vault("Work", confirm="Work")
    phone.close()

    half_created.laptop.sync()

    assert len(half_created.sent("POST", "/vaults")) == 2, (
        "the other one is the account's first vault"
    )
    assert len(half_created.server.vaults) == 1
    assert names(half_created.laptop) == ["Personal"]


def hiding(world, vault_id):
    """Make the server leave a vault out of its list."""

    def tamper(method, path, status, body):
        if (method, path) == ("GET", "/vaults"):
            body["vaults"] = [each for each in body["vaults"] if each["id"] != str(vault_id)]
        return status, body

    world.server.tamper = tamper


@pytest.fixture
def hidden(world):
    """An acceptance during which the server hid a vault that it now shows again."""
    world.laptop.add("login", *mail("Mail", "first"))
    work = world.laptop.create_vault("Work")
    world.laptop.add("login", *mail("Bank", "first"), vault="Work")
    world.laptop.close()
    laptop = rewound(world)
    hiding(world, work.id)
    laptop.explain()
    with pytest.raises(IntegrityError, match="with other keys than this device sent"):
        laptop.accept()
    world.server.tamper = None
    return world


def test_cached_vault_hidden_from_accept_stays_readable(hidden):
    assert titles(hidden.laptop) == ["Bank", "Mail"]
    assert titles(rewound(hidden)) == ["Bank", "Mail"]


def test_device_continues_after_vault_was_hidden_from_accept(hidden):
    laptop = rewound(hidden)

    for _ in range(2):  # like the command: continue, or list and accept
        try:
            done = laptop.accept_on()
        except VaultrError:
            done = None
        if done is None and not all(each.continues for each in laptop.explain()):
            laptop.accept()
    laptop.sync()

    assert secrets_of(laptop) == {"Mail": "first", "Bank": "first"}
    assert secrets_of(hidden.second()) == {"Mail": "first", "Bank": "first"}
